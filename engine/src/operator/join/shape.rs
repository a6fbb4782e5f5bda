//! What a join makes of rows that meet, and of those that meet none.

/// What kind of join: what it puts out for a left and a right row that meet, and for a row by itself, depending on whether
/// it has met any. There are [`Inner`], [`LeftOuter`], [`RightOuter`], [`FullOuter`], [`Semi`] and [`Anti`].
///
/// ```
/// use millstream::join::{Anti, FullOuter, Shape};
///
/// assert_eq!(FullOuter::pair(&1, &'a'), Some((Some(1), Some('a'))));
/// assert_eq!(<FullOuter as Shape<u8, char>>::right(&'a', false), Some((None, Some('a'))));
/// assert_eq!(<Anti as Shape<u8, char>>::left(&1, false), Some(1));
/// assert_eq!(<Anti as Shape<u8, char>>::left(&1, true), None);
///
/// /// Both sides' numbers, with a mark on those that meet none.
/// #[derive(Clone)]
/// struct Marked;
/// impl Shape<u64, u64> for Marked {
///     type Out = (u64, bool);
///     const NAME: &'static str = "marked";
///     const ALONE: (bool, bool) = (true, true);
///     fn pair(_: &u64, _: &u64) -> Option<(u64, bool)> {
///         None
///     }
///     fn left(left: &u64, met: bool) -> Option<(u64, bool)> {
///         Some((*left, !met))
///     }
///     fn right(right: &u64, met: bool) -> Option<(u64, bool)> {
///         Some((*right, !met))
///     }
/// }
/// assert_eq!(Marked::left(&1, false), Some((1, true)));
/// ```
pub trait Shape<L, R>: Clone + Send + 'static {
    /// The result.
    type Out: Send + 'static;
    /// What a checkpoint remembers of it.
    const NAME: &'static str;
    /// Whether [`Shape::left`] ever has a result, and [`Shape::right`].
    const ALONE: (bool, bool);

    /// Of two rows that meet.
    fn pair(left: &L, right: &R) -> Option<Self::Out>;

    /// Of a left row by itself.
    fn left(left: &L, met: bool) -> Option<Self::Out> {
        let _ = (left, met);
        None
    }

    /// Of a right row by itself.
    fn right(right: &R, met: bool) -> Option<Self::Out> {
        let _ = (right, met);
        None
    }
}

/// Each pair of rows that meet.
///
/// ```
/// use millstream::join::{Inner, Shape};
/// assert_eq!(Inner::pair(&1, &'a'), Some((1, 'a')));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Inner;

impl<L: Clone + Send + 'static, R: Clone + Send + 'static> Shape<L, R> for Inner {
    type Out = (L, R);
    const NAME: &'static str = "inner";
    const ALONE: (bool, bool) = (false, false);

    fn pair(left: &L, right: &R) -> Option<(L, R)> {
        Some((left.clone(), right.clone()))
    }
}

/// Each pair, and each left row that meets none.
///
/// ```
/// use millstream::join::{LeftOuter, Shape};
/// assert_eq!(<LeftOuter as Shape<u8, char>>::left(&1, false), Some((1, None)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LeftOuter;

impl<L: Clone + Send + 'static, R: Clone + Send + 'static> Shape<L, R> for LeftOuter {
    type Out = (L, Option<R>);
    const NAME: &'static str = "left outer";
    const ALONE: (bool, bool) = (true, false);

    fn pair(left: &L, right: &R) -> Option<Self::Out> {
        Some((left.clone(), Some(right.clone())))
    }
    fn left(left: &L, met: bool) -> Option<Self::Out> {
        (!met).then(|| (left.clone(), None))
    }
}

/// Each pair, and each right row that meets none.
///
/// ```
/// use millstream::join::{RightOuter, Shape};
/// assert_eq!(<RightOuter as Shape<u8, char>>::right(&'a', false), Some((None, 'a')));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RightOuter;

impl<L: Clone + Send + 'static, R: Clone + Send + 'static> Shape<L, R> for RightOuter {
    type Out = (Option<L>, R);
    const NAME: &'static str = "right outer";
    const ALONE: (bool, bool) = (false, true);

    fn pair(left: &L, right: &R) -> Option<Self::Out> {
        Some((Some(left.clone()), right.clone()))
    }
    fn right(right: &R, met: bool) -> Option<Self::Out> {
        (!met).then(|| (None, right.clone()))
    }
}

/// Each pair, and each row of either side that meets none.
///
/// ```
/// use millstream::join::{FullOuter, Shape};
/// assert_eq!(<FullOuter as Shape<u8, char>>::left(&1, false), Some((Some(1), None)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FullOuter;

impl<L: Clone + Send + 'static, R: Clone + Send + 'static> Shape<L, R> for FullOuter {
    type Out = (Option<L>, Option<R>);
    const NAME: &'static str = "full outer";
    const ALONE: (bool, bool) = (true, true);

    fn pair(left: &L, right: &R) -> Option<Self::Out> {
        Some((Some(left.clone()), Some(right.clone())))
    }
    fn left(left: &L, met: bool) -> Option<Self::Out> {
        (!met).then(|| (Some(left.clone()), None))
    }
    fn right(right: &R, met: bool) -> Option<Self::Out> {
        (!met).then(|| (None, Some(right.clone())))
    }
}

/// Each left row that meets one, once.
///
/// ```
/// use millstream::join::{Semi, Shape};
/// assert_eq!(<Semi as Shape<u8, char>>::left(&1, true), Some(1));
/// assert_eq!(Semi::pair(&1, &'a'), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Semi;

impl<L: Clone + Send + 'static, R: 'static> Shape<L, R> for Semi {
    type Out = L;
    const NAME: &'static str = "semi";
    const ALONE: (bool, bool) = (true, false);

    fn pair(_: &L, _: &R) -> Option<L> {
        None
    }
    fn left(left: &L, met: bool) -> Option<L> {
        met.then(|| left.clone())
    }
}

/// Each left row that meets none.
///
/// ```
/// use millstream::join::{Anti, Shape};
/// assert_eq!(<Anti as Shape<u8, char>>::left(&1, true), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Anti;

impl<L: Clone + Send + 'static, R: 'static> Shape<L, R> for Anti {
    type Out = L;
    const NAME: &'static str = "anti";
    const ALONE: (bool, bool) = (true, false);

    fn pair(_: &L, _: &R) -> Option<L> {
        None
    }
    fn left(left: &L, met: bool) -> Option<L> {
        (!met).then(|| left.clone())
    }
}
