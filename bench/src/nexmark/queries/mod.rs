//! The queries, each a typed job.

mod categories;
mod clock;
mod daily;
mod distinct;
mod expand;
mod highest;
mod hot;
mod interval;
mod latest;
mod people;
mod places;
mod plain;
mod ranks;
mod sessions;
mod side;
mod top;
mod tumble;
mod winners;

use millstream::prelude::*;
use millstream::stream::chain::Chain;

use super::input::Events;
use super::table::Row;

/// What is done with the rows of a query, whatever their type.
pub trait Consumer {
    /// Takes the stream of rows.
    fn consume<R: Row, C: Chain<Out = R>>(self, rows: Stream<R, C>);
}

macro_rules! queries {
    ($($name:ident $(alias $alias:literal)? = $module:ident :: $function:ident;)*) => {
        /// A query of Nexmark, or one beside them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
        #[expect(missing_docs, reason = "the functions that build the queries say what each asks")]
        pub enum Query {
            $($(#[value(alias = $alias)])? $name,)*
        }

        impl Query {
            /// All queries, in order.
            pub const ALL: &[Query] = &[$(Query::$name),*];

            /// `q0` for example.
            pub fn name(self) -> &'static str {
                match self {
                    $(Query::$name => stringify!($function),)*
                }
            }

            /// Builds the query over `events`, and hands on its rows.
            pub fn build(self, events: Events, to: impl Consumer) {
                match self {
                    $(Query::$name => to.consume($module::$function(events)),)*
                }
            }

            /// The header of the query's table: `name:TYPE` per column.
            pub fn columns(self) -> &'static str {
                fn of<R: Row, C: Chain<Out = R>>(_: impl Fn(Events) -> Stream<R, C>) -> &'static str {
                    R::COLUMNS
                }
                match self {
                    $(Query::$name => of($module::$function),)*
                }
            }
        }
    };
}

queries! {
    Q0 = plain::q0;
    Q1 = plain::q1;
    Q2 = plain::q2;
    Q3 = people::q3;
    Q4 = categories::q4;
    Q5 = hot::q5;
    Q6 = winners::q6;
    Q7 = highest::q7;
    Q8 = people::q8;
    Q9 = winners::q9;
    Q10 = plain::q10;
    Q11 = sessions::q11;
    Q12 = clock::q12;
    Q13 = side::q13;
    Q14 = plain::q14;
    Q15 = distinct::q15;
    Q16 = distinct::q16;
    Q17 = daily::q17;
    Q18 = latest::q18;
    Q19 = top::q19;
    Q20 = expand::q20;
    Q21 = plain::q21;
    Q22 = plain::q22;
    X1 alias "x1_tumble_auction" = tumble::x1;
    X2 alias "x2_tumble_all" = tumble::x2;
    X5 alias "x5_interval_join" = interval::x5;
}
