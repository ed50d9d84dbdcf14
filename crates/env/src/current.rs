//! The environment of the task that is being polled: for code whose interface has no room for a handle.
//!
//! openraft's runtime is a set of functions without `self`; they find their clock and their spawner here. Code of our
//! own is passed an [`Env`] instead, since one that is passed cannot be forgotten.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Env;

thread_local! {
    static CURRENT: RefCell<Option<Env>> = const { RefCell::new(None) };
}

/// The environment of this thread's work, if any.
pub(crate) fn get() -> Option<Env> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Makes `env` the current one until the guard is dropped; the one before it then stands again.
pub(crate) fn enter(env: Env) -> Entered {
    Entered { before: CURRENT.with(|current| current.replace(Some(env))) }
}

/// See [`enter`].
pub(crate) struct Entered {
    before: Option<Env>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // The replaced value is dropped after the borrow has ended: the last handle on an environment may drop tasks
        // that ask for the current one.
        let ended = CURRENT.with(|current| current.replace(self.before.take()));
        drop(ended);
    }
}

/// A future under which `env` is the current one, while it is polled and while it is dropped.
pub(crate) struct Scoped<F> {
    env: Env,
    work: Option<Pin<Box<F>>>,
}

impl<F: Future> Scoped<F> {
    pub(crate) fn new(env: Env, work: F) -> Self {
        Scoped { env, work: Some(Box::pin(work)) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let _entered = enter(this.env.clone());
        this.work.as_mut().expect("dropped only with the whole").as_mut().poll(cx)
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let _entered = enter(self.env.clone());
        self.work = None;
    }
}
