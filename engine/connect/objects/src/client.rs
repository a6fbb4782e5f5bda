//! A core's line to the clients of a store.

use millstream::checkpoint::remote::{Objects, Page, Put, Refusal, Stored};
use millstream::host::LocalFuture;
use millstream::port::Port;

use crate::place::Place;
use crate::serve::{Ask, Told, serve};

/// The objects below a path of a store.
pub(crate) struct Client {
    port: Port<Ask, Result<Told, Refusal>>,
}

impl Client {
    pub(crate) async fn connect(place: Place) -> Result<Client, Refusal> {
        let opened = Port::open("objects", move |inbox| serve(&inbox, &place));
        let port = opened.map_err(|error| Refusal::Passing(format!("no thread for a client: {error}")))?;
        let client = Client { port };
        client.ask(Ask::Connect).await?;
        Ok(client)
    }

    fn ask(&self, ask: Ask) -> LocalFuture<Result<Told, Refusal>> {
        let answer = self.port.ask(ask);
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(Refusal::Passing("the client has ended".to_owned())))
        })
    }
}

/// The answer to another question: the thread answers each by its own.
fn strange<T>() -> Result<T, Refusal> {
    Err(Refusal::Refused("the client has answered another question".to_owned()))
}

impl Objects for Client {
    fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> LocalFuture<Result<Stored, Refusal>> {
        let told = self.ask(Ask::Put(name.to_owned(), bytes, how));
        Box::pin(async move { if let Told::Stored(stored) = told.await? { Ok(stored) } else { strange() } })
    }

    fn get(&self, name: &str) -> LocalFuture<Result<Option<Vec<u8>>, Refusal>> {
        let told = self.ask(Ask::Get(name.to_owned()));
        Box::pin(async move { if let Told::Found(bytes) = told.await? { Ok(bytes) } else { strange() } })
    }

    fn list(&self, prefix: &str, after: &str) -> LocalFuture<Result<Page, Refusal>> {
        let told = self.ask(Ask::List { prefix: prefix.to_owned(), after: after.to_owned() });
        Box::pin(async move {
            if let Told::Names(names) = told.await? { Ok(Page { names, more: false }) } else { strange() }
        })
    }

    fn delete(&self, name: &str) -> LocalFuture<Result<(), Refusal>> {
        let told = self.ask(Ask::Delete(name.to_owned()));
        Box::pin(async move { told.await.map(drop) })
    }
}
