use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// Exponential backoff with full jitter: any time between nothing and a bound that doubles with each failure, so
/// that clients that lost their server together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { bound: FIRST }
    }

    /// The time to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = self.bound.mul_f64(fastrand::f64());
        self.bound = (self.bound * 2).min(MOST);
        delay
    }

    /// It worked: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.bound = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least and the most of what `failures` in a row led to, in each of 1000 rounds.
    fn spread(failures: u32) -> (Duration, Duration) {
        let delays = (0..1000).map(|_| {
            let mut backoff = Backoff::new();
            (1..failures).for_each(|_| _ = backoff.next());
            backoff.next()
        });
        delays.fold((MOST, Duration::ZERO), |(least, most), delay| {
            (least.min(delay), most.max(delay))
        })
    }

    #[test]
    fn delays_fill_the_time_up_to_a_bound_that_doubles_up_to_ten_seconds() {
        for (failures, bound_ms) in [(1, 100), (2, 200), (4, 800), (7, 6400), (8, 10_000), (20, 10_000)] {
            let bound = Duration::from_millis(bound_ms);
            let (least, most) = spread(failures);
            assert!(least < bound / 20, "{failures} failures: {least:?} is the least");
            assert!(most > bound.mul_f64(0.95), "{failures} failures: {most:?} is the most");
            assert!(most <= bound, "{failures} failures: {most:?} is the most");
        }
    }

    #[test]
    fn reset_begins_anew() {
        let mut backoff = Backoff::new();
        for _ in 0..1000 {
            (0..10).for_each(|_| _ = backoff.next());
            backoff.reset();
            assert!(backoff.next() <= FIRST);
            backoff.reset();
        }
    }
}
