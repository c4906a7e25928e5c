//! `tokio-cron-scheduler` with the same triggers.

use tokio_cron_scheduler::{Job, JobScheduler};

pub(crate) const YEARLY: &str = "0 0 9 1 6 *";
pub(crate) const EVERY_SECOND: &str = "* * * * * *";

/// A scheduler with so many jobs, which is not started yet. Each fire calls `fire` with the job's number.
pub(crate) async fn scheduler(
    jobs: usize,
    expression: &str,
    fire: impl Fn(usize) + Clone + Send + Sync + 'static,
) -> JobScheduler {
    let scheduler = JobScheduler::new_with_channel_size(1 << 17).await.unwrap();
    for number in 0..jobs {
        let fire = fire.clone();
        let job = Job::new_async(expression, move |_, _| {
            let fire = fire.clone();
            Box::pin(async move { fire(number) })
        });
        scheduler.add(job.unwrap()).await.unwrap();
    }
    scheduler
}
