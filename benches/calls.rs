//! Warm calls of functions: how many a second, and how long one takes, beside a bare echo in the same language.
//!
//! `cargo bench --bench calls`. `ours` calls a function that returns at once through [`Target`], log and all; `echo` is a
//! process of the same language that reads four bytes and a request from a pipe and writes them back, asked by a
//! thread that blocks: the least that another process can cost. Both with 1, 8 and 64 at once, in turn, in the same run.
//! Both are called without a pause, so that many at once wait for a processor; `paced` calls a function that waits for
//! 50 ms and says how long it really took: what is added to that.
//! `GULOU_BENCH_CALLS` (20000 a figure) and `GULOU_BENCH_ROUNDS` (3) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::DateTime;
use gulou::clock::Clock;
use gulou::run::{Fire, Output, Progress, Reason, RunContext, Status};
use gulou::settings::{CodeSettings, Runtime, Variables};
use gulou::target::{Host, Target};
use tokio_util::sync::CancellationToken;

/// A language, its program, a function that waits for so many ms and says how many it took, and an echo.
struct Language {
    name: &'static str,
    runtime: Runtime,
    program: [&'static str; 2],
    file: &'static str,
    handler: &'static str,
    function: &'static str,
    echo: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "Node.js",
        runtime: Runtime::NodeJs,
        program: ["node", "-e"],
        file: "index.js",
        handler: "index.main",
        function: "exports.main = async (event) => { const began = process.hrtime.bigint(); \
            const pause = Number(event.Message); if (pause) await new Promise((done) => setTimeout(done, pause)); \
            return Number(process.hrtime.bigint() - began) / 1e6; }",
        echo: "let held = Buffer.alloc(0); process.stdin.on('data', (chunk) => { held = Buffer.concat([held, chunk]); \
            while (held.length >= 4 && held.length >= 4 + held.readUInt32LE(0)) { const end = 4 + held.readUInt32LE(0); \
            require('fs').writeSync(1, held.subarray(0, end)); held = held.subarray(end); } })",
    },
    Language {
        name: "Python",
        runtime: Runtime::Python,
        program: ["python3", "-c"],
        file: "index.py",
        handler: "index.main_handler",
        function: "import time\ndef main_handler(event, context):\n    began = time.monotonic()\n    \
            if event['Message'] != '0': time.sleep(int(event['Message']) / 1000)\n    \
            return (time.monotonic() - began) * 1000\n",
        echo: "import os\nwhile True:\n    head = os.read(0, 4)\n    if not head: break\n    \
            os.write(1, head + os.read(0, int.from_bytes(head, 'little')))",
    },
];

/// Calls a second, and the median and the 99th percentile of one, in ms.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rate: f64,
    median: f64,
    p99: f64,
}

impl Figure {
    fn of(took: Duration, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let at = |percent: usize| each[(each.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        Self { rate: each.len() as f64 / took.as_secs_f64(), median: at(50), p99: at(99) }
    }
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let (calls, rounds) = (from_env("GULOU_BENCH_CALLS", 20_000), from_env("GULOU_BENCH_ROUNDS", 3));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "{:>8}  {:>7}  {:>6}  {:>12}  {:>8}  {:>8}  {:>12}  {:>8}  {:>8}  {:>9}  {:>8}",
        "language",
        "at once",
        "round",
        "ours calls/s",
        "p50 ms",
        "p99 ms",
        "echo calls/s",
        "p50 ms",
        "added ms",
        "paced p50",
        "p99"
    );
    for language in &LANGUAGES {
        for at_once in [1, 8, 64] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(language.file), language.function).unwrap();
            let target = runtime.block_on(warm(language, folder.path(), at_once));
            let mut echoes: Vec<Echo> = (0..at_once).map(|_| Echo::start(language)).collect();
            for round in 1..=rounds {
                let all = runtime.block_on(ours(&target, at_once, calls / at_once, "0"));
                let paced = runtime.block_on(ours(&target, at_once, 100, "50"));
                let echo = echo(&mut echoes, calls / at_once);
                println!(
                    "{:>8}  {at_once:>7}  {round:>6}  {:>12.0}  {:>8.3}  {:>8.3}  {:>12.0}  {:>8.3}  {:>8.3}  {:>9.3}  {:>8.3}",
                    language.name,
                    all.rate,
                    all.median,
                    all.p99,
                    echo.rate,
                    echo.median,
                    all.median - echo.median,
                    paced.median,
                    paced.p99
                );
            }
            runtime.block_on(target.shutdown());
        }
    }
}

/// A target with `at_once` workers that have all loaded their code.
async fn warm(language: &Language, folder: &Path, at_once: usize) -> Target {
    let settings = CodeSettings {
        runtime: language.runtime,
        dir: folder.to_owned(),
        handler: language.handler.to_owned(),
        timeout: Duration::from_secs(600),
        memory_mb: 256,
        concurrency: at_once,
        max_output: None,
        env: Variables::new(),
    };
    let target = Target::function(&settings, &Host::new(Clock::system()));
    let calls: Vec<_> = (0..at_once)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { call(&target, "2000").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    target
}

/// Answers how long the function itself took.
async fn call(target: &Target, message: &str) -> Duration {
    let fire = Fire {
        request_id: uuid::Uuid::new_v4().to_string(),
        function: "notice".to_owned(),
        trigger: "daily".to_owned(),
        fire_time: DateTime::from_timestamp(1_591_875_815, 0).unwrap(),
        reason: Reason::Timed,
        attempt: 1,
        missed: 0,
        argument: message.to_owned(),
        event_type: "timer".to_owned(),
        app_id: None,
        own_event: None,
    };
    let context = RunContext {
        output: Output::discard(),
        progress: Progress::default(),
        drain: CancellationToken::new(),
        abort: CancellationToken::new(),
    };
    let outcome = target.run(&fire, &context).await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    Duration::from_secs_f64(outcome.result.unwrap().as_f64().unwrap() / 1000.0)
}

/// What is added to the function's own time, which is `pause` ms and what a timer adds to them.
async fn ours(target: &Target, at_once: usize, calls_each: usize, pause: &'static str) -> Figure {
    let clock = Clock::system();
    let began = clock.monotonic();
    let callers: Vec<_> = (0..at_once)
        .map(|_| {
            let (target, clock) = (target.clone(), clock.clone());
            tokio::spawn(async move {
                let mut each = Vec::with_capacity(calls_each);
                for _ in 0..calls_each {
                    let began = clock.monotonic();
                    let own = call(&target, pause).await;
                    each.push(clock.monotonic().saturating_sub(began).saturating_sub(own));
                }
                each
            })
        })
        .collect();
    let mut each = Vec::new();
    for caller in callers {
        each.extend(caller.await.unwrap());
    }
    Figure::of(clock.monotonic().saturating_sub(began), each)
}

/// A process that sends back what it is sent.
struct Echo(Child);

impl Echo {
    fn start(language: &Language) -> Self {
        let [program, option] = language.program;
        let mut command = Command::new(program);
        command.args([option, language.echo]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut echo = Self(command.spawn().unwrap());
        echo.ask();
        echo
    }

    /// As long as the request of a call.
    fn ask(&mut self) {
        let mut frame = vec![b'x'; 4 + 700];
        frame[..4].copy_from_slice(&700_u32.to_le_bytes());
        self.0.stdin.as_mut().unwrap().write_all(&frame).unwrap();
        self.0.stdout.as_mut().unwrap().read_exact(&mut frame).unwrap();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn echo(echoes: &mut [Echo], calls_each: usize) -> Figure {
    let clock = Clock::system();
    let began = clock.monotonic();
    let each = std::thread::scope(|scope| {
        let callers: Vec<_> = echoes
            .iter_mut()
            .map(|echo| {
                let clock = clock.clone();
                scope.spawn(move || {
                    let mut each = Vec::with_capacity(calls_each);
                    for _ in 0..calls_each {
                        let began = clock.monotonic();
                        echo.ask();
                        each.push(clock.monotonic().saturating_sub(began));
                    }
                    each
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    Figure::of(clock.monotonic().saturating_sub(began), each)
}

fn from_env(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
