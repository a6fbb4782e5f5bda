//! The store itself: what the chain relies on.

use std::rc::Rc;
use std::sync::mpsc;

use millstream::checkpoint::remote::link::Link;
use millstream::checkpoint::remote::{Objects, Put, Refusal, Remote, Stored};
use millstream::host::{CoreMain, LocalFuture, RuntimeConfig, launch};
use millstream_objects::Place;

use crate::server::Server;

/// Does something with the objects of a place.
pub fn with<T: Send + 'static>(
    place: Place,
    work: impl FnOnce(Rc<dyn Objects>) -> LocalFuture<Result<T, Refusal>> + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    let main: CoreMain = Box::new(|host| {
        Box::pin(async move {
            let worked = match place.connect(&host).await {
                Ok(objects) => work(objects).await,
                Err(refusal) => Err(refusal),
            };
            done.send(worked).expect("somebody waits for it");
        })
    });
    let config = RuntimeConfig { pin: false, ..RuntimeConfig::default() };
    launch(&config, vec![main]).expect("a core").join().expect("nothing panics");
    result.recv().expect("it was sent").expect("the store is there")
}

/// All links, by number.
pub fn links(place: &Place) -> Vec<Link> {
    with(place.clone(), |objects| {
        Box::pin(async move {
            let mut links = Vec::new();
            for name in objects.list("chain/", "").await?.names {
                // Unless it has just been removed.
                if let Some(object) = objects.get(&name).await? {
                    links.push(Link::from_object(object).expect("links are whole"));
                }
            }
            Ok(links)
        })
    })
}

#[test]
fn an_object_is_put_once() {
    let Some(server) = Server::shared() else { return };
    let place = server.place(&server.bucket());
    with(place, |objects| {
        Box::pin(async move {
            let put = |name: &str, bytes: &[u8], how| objects.put(name, bytes.to_vec(), how);
            assert_eq!(put("chain/1", b"mine", Put::IfAbsent).await?, Stored::Now);
            assert_eq!(put("chain/1", b"yours", Put::IfAbsent).await?, Stored::Before);
            assert_eq!(objects.get("chain/1").await?.as_deref(), Some(b"mine".as_slice()));
            assert_eq!(put("chain/2", b"a", Put::Replace).await?, Stored::Now);
            assert_eq!(put("chain/2", b"b", Put::Replace).await?, Stored::Now);
            assert_eq!(objects.get("chain/2").await?.as_deref(), Some(b"b".as_slice()));
            assert_eq!(objects.list("chain/", "").await?.names, ["chain/1", "chain/2"]);
            assert_eq!(objects.list("chain/", "chain/1").await?.names, ["chain/2"]);
            assert!(objects.list("chain/", "chain/2").await?.names.is_empty());
            objects.delete("chain/1").await?;
            objects.delete("chain/1").await?;
            assert_eq!(objects.get("chain/1").await?, None);
            assert!(objects.list("files/", "").await?.names.is_empty());
            Ok(())
        })
    });
}
