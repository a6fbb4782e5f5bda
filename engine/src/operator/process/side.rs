//! Side outputs of process functions.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::exchange::outlet::OutletSpec;
use crate::operator::sides::{SideSpecs, Sides};

/// The name of a side output, and the type of its records: what is declared by the function that emits to it is found
/// by the same tag on its results.
///
/// ```
/// use millstream::prelude::*;
///
/// const ODD: OutputTag<u64> = OutputTag::new("odd");
///
/// /// Halves even numbers, and puts the odd ones aside.
/// #[derive(Clone)]
/// struct Halve;
/// impl Process for Halve {
///     type Key = u64;
///     type In = u64;
///     type Out = u64;
///     type State = Side<u64>;
///     fn declare(&self, state: &mut Declare) -> Side<u64> {
///         state.side(ODD)
///     }
///     fn on_record(&mut self, n: u64, odd: &Side<u64>, cx: &mut Context<'_, Self>) {
///         match n % 2 {
///             0 => cx.emit(n / 2),
///             _ => cx.emit_to(odd, n),
///         }
///     }
/// }
///
/// let job = Job::new("doc");
/// let ((main, halves), (aside, odd)) = (collect(), collect());
/// let halved = job.source("numbers", from_vec(vec![1, 2, 3, 4])).key_by(|n| *n).process("halve", Halve);
/// halved.side(ODD).sink("odd", aside);
/// halved.sink("halves", main);
/// job.run(Config::new().cores(1))?;
/// assert_eq!((halves.take(), odd.take()), (vec![1, 2], vec![1, 3]));
/// assert_eq!(ODD.name(), "odd");
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct OutputTag<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> OutputTag<T> {
    /// A tag of this name, unique among those of a step.
    pub const fn new(name: &'static str) -> OutputTag<T> {
        OutputTag { name, of: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OutputTag<T> {}

impl<T> fmt::Debug for OutputTag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutputTag").field(&self.name).finish()
    }
}

/// A declared side output, to be emitted to; see [`OutputTag`]. Made by
/// [`Declare::side`](crate::process::Declare::side).
pub struct Side<T> {
    pub(crate) place: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Side<T> {
    pub(crate) fn new(place: usize) -> Side<T> {
        Side { place, of: PhantomData }
    }
}

/// A side output that was declared, of whatever type.
pub(crate) trait DeclaredSide {
    fn name(&self) -> &'static str;
    /// Adds an outlet, and returns it: a `SharedOutlet<T>`.
    fn attach(&self, specs: &mut SideSpecs) -> Rc<dyn Any>;
    /// Adds a batch.
    fn add_batch(&self, sides: &mut Sides);
}

impl<T: Send + 'static> DeclaredSide for OutputTag<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attach(&self, specs: &mut SideSpecs) -> Rc<dyn Any> {
        let outlet = OutletSpec::<T>::shared();
        specs.add(outlet.clone());
        Rc::new(outlet)
    }

    fn add_batch(&self, sides: &mut Sides) {
        sides.add::<T>(true);
    }
}
