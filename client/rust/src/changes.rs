use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::watch;

use crate::{
    shared::{End, State},
    snapshot::Snapshot,
};

/// What is held was replaced by other content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// What was told before it; `None`: nothing was.
    pub old: Option<Arc<Snapshot>>,
    /// What is held now.
    pub new: Arc<Snapshot>,
    /// `new` is the copy on disk, and the server has not called it current yet.
    pub from_cache: bool,
}

/// The changes of a watch, in order: a [`Stream`] that ends with the watch.
///
/// It begins with what is held, if something is. Who is slow misses versions, never the newest.
pub struct Changes {
    next: Pin<Box<dyn Future<Output = (Feed, Option<Change>)> + Send>>,
}

impl Changes {
    pub(crate) fn new(feed: Feed) -> Self {
        Self {
            next: Box::pin(feed.into_next()),
        }
    }

    /// The next change; `None`: the watch has ended. No change is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Change> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Changes {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        let (feed, change) = ready!(self.next.as_mut().poll(context));
        self.next = Box::pin(feed.into_next());
        Poll::Ready(change)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// Tells changes to one consumer. What waits for a slow one is the state itself, so it is one change at most.
pub(crate) struct Feed {
    state: watch::Receiver<State>,
    /// The copy on disk, which is told even if it has been replaced meanwhile.
    first: Option<Arc<Snapshot>>,
    told: Option<Arc<Snapshot>>,
}

impl Feed {
    pub(crate) fn new(state: watch::Receiver<State>, first: Option<Arc<Snapshot>>) -> Self {
        Self {
            state,
            first,
            told: None,
        }
    }

    async fn into_next(mut self) -> (Self, Option<Change>) {
        let change = self.next().await;
        (self, change)
    }

    pub(crate) async fn next(&mut self) -> Option<Change> {
        loop {
            let end = self.state.borrow_and_update().end.clone();
            // After close() nothing more is told; if the server ended the watch, what it brought before is.
            if !matches!(end, Some(End::Closed))
                && let Some(change) = self.change()
            {
                return Some(change);
            }
            if end.is_some() {
                return None;
            }
            self.state.changed().await.ok()?;
        }
    }

    /// The change that waits, if one does. Equal content is none: only what counts as told moves on with the header.
    fn change(&mut self) -> Option<Change> {
        if let Some(copy) = self.first.take() {
            self.told = Some(Arc::clone(&copy));
            return Some(Change {
                old: None,
                new: copy,
                from_cache: true,
            });
        }
        let state = self.state.borrow();
        let new = Arc::clone(state.held.as_ref()?);
        let old = self.told.replace(Arc::clone(&new));
        let is_change = old.as_ref().is_none_or(|old| old.view_digest != new.view_digest);
        is_change.then_some(Change {
            old,
            new,
            from_cache: !state.settled,
        })
    }
}
