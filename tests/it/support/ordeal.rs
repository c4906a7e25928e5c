//! A mailing that is hurt in every way we know, at moments that a seed picks, and led to its end all the same.

use std::thread::sleep;
use std::time::Duration;

use super::mailing::Mailing;
use super::promise::{Account, judge};
use super::receiver::Receiver;
use super::{Daemon, eventually};

/// Rows that a batch of these tests may have in doubt: few, so that a window is a small part of the table.
pub(crate) const WINDOW: u32 = 64;

/// A way to hurt a mailing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// SIGKILL to the daemon.
    Kill,
    /// SIGTERM to the daemon, which drains.
    Drain,
    /// SIGSTOP to the daemon until everybody else has given it up.
    Freeze,
    /// The database is killed and started again, or locked.
    Database,
    /// The database ends the daemon's connections.
    Connections,
    /// The receiver is killed and started again.
    Receiver,
    /// The receiver hangs up in the middle of envelopes, before it takes mails, and instead of saying that it has.
    HangUps,
    /// All of them are killed at once.
    PowerCut,
}

const BLOWS: [Blow; 8] = [
    Blow::Kill,
    Blow::Drain,
    Blow::Freeze,
    Blow::Database,
    Blow::Connections,
    Blow::Receiver,
    Blow::HangUps,
    Blow::PowerCut,
];

/// How hard it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: u32,
    pub(crate) blows: u32,
    pub(crate) seed: u32,
    /// How long the daemon is frozen, and the database away.
    pub(crate) pause: Duration,
}

impl Size {
    /// What `scripts/torture.sh` says, or short.
    pub(crate) fn from_env() -> Self {
        Self {
            rows: from_env("ROWS", 3_000),
            blows: from_env("KILLS", 8),
            seed: from_env("SEED", 1),
            pause: Duration::from_millis(from_env("PAUSE_MS", 200).into()),
        }
    }

    /// Rows between two blows, on average.
    fn share(self) -> u32 {
        self.rows / (self.blows + 1)
    }

    /// What is done, and after how many mails. Each way comes as often as the others, in an order of the seed's.
    fn plan(self) -> Vec<(Blow, u32)> {
        let mut random = Random::new(self.seed);
        let share = self.share();
        let mut round: Vec<Blow> = Vec::new();
        let mut plan = Vec::new();
        for number in 0..self.blows {
            if round.is_empty() {
                round = BLOWS.into();
            }
            let blow = round.swap_remove(random.below(u32::try_from(round.len()).unwrap()) as usize);
            plan.push((blow, share * number + 1 + random.below(share)));
        }
        plan
    }
}

/// A mailing under way, and all who take part in it.
pub(crate) struct Life {
    mailing: Mailing,
    receiver: Receiver,
    daemon: Option<Daemon>,
    size: Size,
    random: Random,
}

impl Life {
    pub(crate) fn new(mailing: Mailing, receiver: Receiver, size: Size) -> Self {
        Self { mailing, receiver, daemon: None, size, random: Random::new(!size.seed) }
    }

    /// Deals the blows of the plan, each in its moment.
    pub(crate) fn suffer(&mut self) {
        self.serve();
        let plan = self.size.plan();
        let mut in_time = 0;
        for (blow, moment) in &plan {
            if !self.reach(*moment as usize) {
                println!("all is done before {blow:?} after {moment} mails");
                break;
            }
            let late = u32::try_from(self.receiver.mails_so_far()).unwrap() - moment;
            in_time += usize::from(late <= self.size.share());
            self.deal(*blow);
            let (mails, open) = (self.receiver.mails_so_far(), self.mailing.open_rows());
            println!("{blow:?} after {moment} mails: {mails} mails now, {open} rows unmarked");
        }
        assert!(2 * in_time > plan.len(), "most blows came too late: nothing was tested");
    }

    /// Serves until nothing is left to do however long one waits, stops, and looks once more.
    pub(crate) fn finish(&mut self) {
        if self.daemon.is_none() {
            self.serve();
        }
        loop {
            eventually("every row to be settled or put off", || self.mailing.is_idle().then_some(()));
            if self.mailing.let_time_pass() == 0 {
                break;
            }
        }
        self.stop();
        let mails = self.receiver.mails_so_far();
        self.mailing.project().gulou(&["fire", "--config", "config.json", "mailing"]).expect_code(0);
        assert_eq!(self.receiver.mails_so_far(), mails, "there was something left to send");
    }

    /// Judges what has become of it; fails the test with the breaches.
    #[track_caller]
    pub(crate) fn judge(&self, resend: bool) -> Account {
        let testimony = self.mailing.testimony(self.receiver.history());
        judge(&testimony, resend).unwrap_or_else(|breaches| {
            let first: Vec<_> = breaches.iter().take(20).cloned().collect();
            panic!(
                "{:?}: {} breaches of the promise, the first of them:\n{}",
                self.size,
                breaches.len(),
                first.join("\n")
            )
        })
    }

    /// An operator has all rows sent again that are held.
    pub(crate) fn resend(&mut self, held: u32) {
        let resend = ["batch", "--config", "config.json", "resend", "mailing", "--all"];
        let answer = self.mailing.project().gulou(&resend).expect_code(0);
        assert!(answer.stdout.starts_with(&format!("{held} row")), "{}", answer.stdout);
        self.receiver.note("an operator resends", held);
    }

    /// Waits for a number of mails; false: there is nothing more to send.
    fn reach(&mut self, moment: usize) -> bool {
        loop {
            let (mut last, mut still) = (0, 0);
            let reached = eventually("the mails before a blow", || {
                let mails = self.receiver.mails_so_far();
                still = if mails == last { still + 1 } else { 0 };
                last = mails;
                if mails >= moment {
                    return Some(true);
                }
                // Rows that wait for another try do not come by themselves. Looking takes a busy server its time, in which
                // the moment may pass: not before the daemon has fired again and sent nothing.
                (still % 1000 == 999 && self.mailing.is_idle()).then_some(false)
            });
            if reached || self.mailing.let_time_pass() == 0 {
                return reached;
            }
        }
    }

    fn deal(&mut self, blow: Blow) {
        match blow {
            Blow::Kill => {
                self.kill();
                self.receiver.settle();
                self.receiver.note("kill", WINDOW);
                self.serve();
            }
            Blow::Drain => {
                self.stop();
                self.receiver.note("drain", 0);
                self.serve();
            }
            Blow::Freeze => {
                let daemon = self.daemon.as_mut().unwrap();
                daemon.freeze();
                self.receiver.hang_up();
                self.mailing.home().cut_connections();
                sleep(self.size.pause);
                self.receiver.note("freeze", WINDOW);
                daemon.thaw();
            }
            Blow::Database => {
                self.mailing.home().take_away();
                sleep(self.size.pause);
                self.mailing.home().give_back();
                self.receiver.note("database", 0);
            }
            Blow::Connections => {
                self.mailing.home().cut_connections();
                self.receiver.note("connections", 0);
            }
            Blow::Receiver => {
                self.receiver.kill();
                self.receiver.note("receiver", WINDOW);
                self.receiver.restart();
            }
            Blow::HangUps => {
                self.receiver.hang_up_in_between(1 + self.random.below(WINDOW));
                // Each of them is in the journal; there is no other doubt.
                self.receiver.note("hang-ups", 0);
            }
            Blow::PowerCut => {
                self.mailing.home().take_away();
                // Whoever goes last sees the others go.
                if self.random.below(2) == 0 {
                    self.kill();
                    self.receiver.kill();
                } else {
                    self.receiver.kill();
                    self.kill();
                }
                self.receiver.note("power cut: receiver", WINDOW);
                self.receiver.note("power cut: daemon", WINDOW);
                self.mailing.home().give_back();
                self.receiver.restart();
                self.serve();
            }
        }
    }

    fn serve(&mut self) {
        self.daemon = Some(self.mailing.project().serve("config.json"));
    }

    fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    fn stop(&mut self) {
        let (code, log) = self.daemon.take().unwrap().stop();
        assert_eq!(code, Some(0), "the drain failed:\n{log}");
        self.receiver.settle();
        self.receiver.note_stop(self.mailing.reserved());
    }
}

/// A number that `scripts/torture.sh` hands over as `GULOU_TORTURE_…`.
pub(crate) fn from_env(name: &str, default: u32) -> u32 {
    let name = format!("GULOU_TORTURE_{name}");
    std::env::var(&name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Reproducible, and good enough to pick moments: a linear congruential generator.
#[derive(Debug)]
pub(crate) struct Random(u32);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The high bits are the random ones.
        ((u64::from(self.0) * u64::from(bound)) >> 32) as u32
    }
}
