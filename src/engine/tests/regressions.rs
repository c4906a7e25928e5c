//! Bugs that were there: the shortest life of a daemon that shows each.

use std::sync::Arc;

use super::settings::{function, trigger};
use super::world::World;
use crate::engine::handle::Selection;
use crate::engine::runner::Function;
use crate::run::Status;
use crate::settings::{Misfire, Overlap, TriggerSettings};
use crate::store::runs::{SkipReason, SkippedSpan};

/// 2026-01-01T00:00:00 in Beijing.
const START: i64 = 1_767_196_800;

/// A machine with these functions, and a process that starts at [`START`].
fn world(max_runs: usize, functions: Vec<Arc<Function>>) -> World {
    let mut world = World::new(START * 1000, max_runs);
    world.folders = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
    world.start().unwrap();
    world
}

fn every_minute(misfire: Misfire) -> TriggerSettings {
    trigger("t", "0 * * * * * *", misfire)
}

/// The process looks what is due so many seconds after [`START`].
fn look_at(world: &mut World, seconds: i64) {
    world.wall = (START + seconds) * 1000;
    world.look(SkipReason::Late).unwrap();
}

/// The only run that runs ends, now.
fn end(world: &mut World) {
    let running = world.process.as_ref().unwrap().in_flight.first().copied().unwrap();
    world.end(running, Status::Succeeded, false);
    world.hear().unwrap();
}

/// A process is killed, and another starts at once.
fn kill_and_start(world: &mut World) {
    world.die();
    world.start().unwrap();
}

/// Fire times with runs, in minutes after [`START`].
fn ran(world: &World) -> Vec<i64> {
    world.store.history().iter().map(|run| (run.fire_time - START) / 60).collect()
}

/// Spans with first and last fire time in minutes after [`START`].
fn skipped(world: &World) -> Vec<(i64, i64, i64, SkipReason)> {
    let minutes = |fire_time| (fire_time - START) / 60;
    let span = |span: &SkippedSpan| (minutes(span.first), minutes(span.last), span.count, span.reason);
    world.store.spans().iter().map(span).collect()
}

/// The span was on record before the fires that it comes after: the state took these for dealt with.
#[test]
fn fires_that_wait_to_be_caught_up_survive_a_later_span() {
    for killed in [false, true] {
        let mut world = world(9, vec![function("f", Overlap::Allow, vec![every_minute(Misfire::All)])]);
        look_at(&mut world, 10 * 60 + 30);
        assert_eq!(ran(&world), [1]);
        // The machine sleeps: more is missed than the window allows to be caught up.
        look_at(&mut world, 300 * 60 + 30);
        if killed {
            kill_and_start(&mut world);
        }
        while !world.process.as_ref().unwrap().in_flight.is_empty() {
            end(&mut world);
        }
        let mut accounted = ran(&world);
        accounted.extend(skipped(&world).iter().flat_map(|(first, last, ..)| *first..=*last));
        accounted.sort_unstable();
        assert_eq!(accounted, (1..=300).collect::<Vec<_>>(), "killed: {killed}");
        assert_eq!(ran(&world)[0], 1);
        assert_eq!(ran(&world)[1..10] == [2, 3, 4, 5, 6, 7, 8, 9, 10], !killed);
    }
}

/// A function with a trigger of another schedule, or one that is disabled, in the place of `f`.
fn reload(world: &mut World, trigger: TriggerSettings) {
    let function = function("f", Overlap::Allow, vec![trigger]);
    world.folders.insert("f".to_owned(), Arc::clone(&function));
    world.apply(vec![function], &[]).unwrap();
}

/// They were claimed below the mark of the new schedule, which the state refused; those of a disabled trigger ran.
#[test]
fn a_backlog_goes_with_its_schedule() {
    let other = trigger("t", "30 * * * * * *", Misfire::All);
    let disabled = TriggerSettings { enabled: false, ..every_minute(Misfire::All) };
    for (after, comes) in [(other, true), (disabled, false)] {
        let mut world = world(9, vec![function("f", Overlap::Allow, vec![every_minute(Misfire::All)])]);
        look_at(&mut world, 10 * 60 + 10);
        assert_eq!(ran(&world), [1]);
        reload(&mut world, after);
        assert_eq!(skipped(&world), [(2, 10, 9, SkipReason::Removed)]);
        look_at(&mut world, 10 * 60 + 40);
        assert_eq!(ran(&world), [1], "what comes is behind what runs");
        end(&mut world);
        assert_eq!(ran(&world).len(), if comes { 2 } else { 1 });
        assert_eq!(skipped(&world).len(), 1);
    }
}

/// It ran on while the trigger was paused, until the end of the pause made the state refuse the rest of it.
#[test]
fn a_pause_ends_a_backlog() {
    let mut world = world(9, vec![function("f", Overlap::Allow, vec![every_minute(Misfire::All)])]);
    look_at(&mut world, 10 * 60 + 10);
    world.pause(&Selection::All).unwrap();
    end(&mut world);
    assert_eq!((ran(&world), skipped(&world)), (vec![1], vec![(2, 10, 9, SkipReason::Paused)]));
    world.wall = (START + 20 * 60) * 1000;
    world.resume(&Selection::All).unwrap();
    assert_eq!(skipped(&world), [(2, 20, 19, SkipReason::Paused)]);
    look_at(&mut world, 21 * 60);
    assert_eq!(ran(&world), [1, 21]);
}

/// One run stands for ten fire times; when it may not run, ten are skipped.
#[test]
fn what_a_refused_fire_stands_for_is_skipped_with_it() {
    let mut world = world(9, vec![function("f", Overlap::Skip, vec![every_minute(Misfire::Once)])]);
    world.fire("f", "t").unwrap();
    look_at(&mut world, 10 * 60 + 59);
    assert_eq!(skipped(&world), [(1, 10, 10, SkipReason::Overlap)]);
    // The same when it was waiting to be caught up.
    end(&mut world);
    look_at(&mut world, 20 * 60 + 59);
    look_at(&mut world, 40 * 60 + 59);
    world.pause(&Selection::All).unwrap();
    assert_eq!((ran(&world), skipped(&world)[1]), (vec![0, 19], (20, 40, 21, SkipReason::Paused)));
}

/// The room was kept for a fire that came to nothing, and no run was left whose end would have let the other start.
#[test]
fn a_refused_fire_leaves_its_room_to_the_next() {
    let functions = ["f", "g"].map(|name| function(name, Overlap::Allow, vec![every_minute(Misfire::Skip)]));
    let mut world = world(1, functions.to_vec());
    look_at(&mut world, 60);
    end(&mut world);
    end(&mut world);
    // Down while the clock goes back: `f` has its run of the first minute already.
    world.die();
    world.wall = START * 1000;
    world.folders.insert(
        "g".to_owned(),
        function("g", Overlap::Allow, vec![trigger("other", "0 * * * * * *", Misfire::Skip)]),
    );
    world.start().unwrap();
    look_at(&mut world, 60);
    assert_eq!(world.process.as_ref().unwrap().in_flight.len(), 1);
}

/// They waited for an end though the rule in their way was gone.
#[test]
fn a_rule_that_is_gone_holds_nobody_up() {
    let with = |overlap| function("f", overlap, vec![every_minute(Misfire::Skip)]);
    let mut world = world(9, vec![with(Overlap::Queue(5))]);
    for minute in 1..=3 {
        look_at(&mut world, minute * 60);
    }
    assert_eq!(world.process.as_ref().unwrap().in_flight.len(), 1);
    world.apply(vec![with(Overlap::Allow)], &[]).unwrap();
    assert_eq!(world.process.as_ref().unwrap().in_flight.len(), 3);
}

/// The marks of triggers that stayed were put back with it, and a later start skipped again what had been skipped.
#[test]
fn a_reload_leaves_marks_in_the_future_alone() {
    let f = function("f", Overlap::Allow, vec![every_minute(Misfire::Skip)]);
    let mut world = world(9, vec![Arc::clone(&f)]);
    look_at(&mut world, 100 * 60 + 30);
    assert_eq!(skipped(&world), [(1, 99, 99, SkipReason::Late)]);
    // The clock goes back for a moment, and somebody touches a folder.
    world.wall = (START + 50 * 60) * 1000;
    world.apply(vec![f], &[]).unwrap();
    world.die();
    world.wall = (START + 110 * 60 + 30) * 1000;
    world.start().unwrap();
    assert_eq!(skipped(&world)[1..], [(101, 109, 9, SkipReason::Down)]);
}
