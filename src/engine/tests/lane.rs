//! When the scheduler wakes up for rows that wait for another try.

use std::sync::Arc;

use super::settings::{function, trigger};
use super::world::World;
use crate::engine::handle::Selection;
use crate::engine::runner::Function;
use crate::run::Status;
use crate::settings::{Misfire, Overlap};
use crate::store::runs::SkipReason;
use crate::store::triggers::FunctionId;

/// 2026-01-01T00:00:00 in Beijing.
const START: i64 = 1_767_196_800;
const F: FunctionId = 1;

/// A function that fires on the hour, and its lane: the first row is due so many seconds after [`START`].
fn world(due: i64) -> World {
    let hourly = trigger("t", "0 0 * * * * *", Misfire::Skip);
    start(vec![function("f", Overlap::Queue(1), vec![hourly])], due)
}

fn start(functions: Vec<Arc<Function>>, due: i64) -> World {
    let mut world = World::new(START * 1000, 9);
    world.folders = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
    world.lane(F, Some((START + due) * 1000));
    world.start().unwrap();
    world
}

/// When the process wants to be woken, in seconds after [`START`].
fn wake(world: &World) -> Option<i64> {
    world.next_wake().map(|wake| (wake - START * 1000).div_euclid(1000))
}

fn look_at(world: &mut World, seconds: i64) {
    world.wall = (START + seconds) * 1000;
    world.look(SkipReason::Late).unwrap();
}

/// The only run ends, and leaves these rows.
fn end(world: &mut World, status: Status, due: Option<i64>) {
    let running = world.process.as_ref().unwrap().in_flight.first().copied().unwrap();
    world.lane(F, due.map(|due| (START + due) * 1000));
    world.end(running, status, false);
    world.hear().unwrap();
}

/// Reasons and states of all runs.
fn ran(world: &World) -> Vec<(String, String)> {
    world.store.history().into_iter().map(|run| (run.reason, run.state)).collect()
}

fn lane_runs(world: &World) -> usize {
    ran(world).iter().filter(|(reason, _)| reason == "retry").count()
}

#[test]
fn a_row_that_falls_due_has_a_run_of_its_own() {
    let mut world = world(60);
    assert_eq!(wake(&world), Some(60));
    look_at(&mut world, 59);
    assert_eq!(lane_runs(&world), 0);
    look_at(&mut world, 60);
    assert_eq!(ran(&world), [("retry".to_owned(), "running".to_owned())]);
    assert_eq!(wake(&world), Some(3600), "until it ends, rows do not wake anybody");
    end(&mut world, Status::Succeeded, None);
    assert_eq!(wake(&world), Some(3600));
}

#[test]
fn without_rows_the_fires_alone_wake_it() {
    let mut world = world(60);
    world.lane(F, None);
    world.die();
    world.start().unwrap();
    assert_eq!(wake(&world), Some(3600));
    let never = trigger("t", "0 0 0 1 1 * 2020", Misfire::Skip);
    let mut idle = start(vec![function("f", Overlap::Queue(1), vec![never])], 60);
    assert_eq!(wake(&idle), Some(60));
    look_at(&mut idle, 60);
    end(&mut idle, Status::Succeeded, None);
    assert_eq!(idle.next_wake(), None, "it sleeps for ever");
}

#[test]
fn a_run_that_is_under_way_takes_the_rows() {
    let mut world = world(3601);
    look_at(&mut world, 3600);
    look_at(&mut world, 3601);
    assert_eq!(ran(&world), [("timed".to_owned(), "running".to_owned())]);
    end(&mut world, Status::Succeeded, Some(3610));
    assert_eq!(wake(&world), Some(3610));
    // A fire and the rows at the same instant: one run.
    world.lane(F, Some((START + 7200) * 1000));
    world.die();
    world.start().unwrap();
    look_at(&mut world, 7200);
    assert_eq!(lane_runs(&world), 0);
}

#[test]
fn rows_of_paused_triggers_wait_until_they_go_on() {
    let mut world = world(60);
    world.pause(&Selection::All).unwrap();
    assert_eq!(wake(&world), None);
    look_at(&mut world, 600);
    world.resume(&Selection::All).unwrap();
    assert_eq!(wake(&world), Some(60), "at once");
    look_at(&mut world, 601);
    assert_eq!(lane_runs(&world), 1);
}

#[test]
fn rows_wait_longer_after_each_run_that_fails() {
    let mut world = world(60);
    let mut now = 60;
    for minutes in [1, 5, 30, 120, 480, 480] {
        look_at(&mut world, now);
        let before = lane_runs(&world);
        end(&mut world, Status::Failed, Some(60));
        // Nothing of the hourly fires comes in between.
        world.pause(&Selection::All).unwrap();
        now += minutes * 60;
        world.wall = (START + now - 1) * 1000;
        world.resume(&Selection::All).unwrap();
        look_at(&mut world, now - 1);
        assert_eq!(lane_runs(&world), before, "not before {minutes} minutes");
    }
    look_at(&mut world, now);
    end(&mut world, Status::Succeeded, Some(60));
    look_at(&mut world, now + 1);
    assert!(lane_runs(&world) >= 8, "a success makes it good");
}

/// What a run finds in the lane that was under way when somebody asked is old news.
#[test]
fn what_somebody_asks_for_is_not_forgotten() {
    let mut world = world(999_999);
    look_at(&mut world, 3600);
    world.ask_for_lane(F).unwrap();
    assert_eq!(wake(&world), Some(7200), "it waits for the run");
    end(&mut world, Status::Failed, None);
    assert_eq!(wake(&world), Some(3600), "at once");
    look_at(&mut world, 3601);
    assert_eq!(lane_runs(&world), 1);
}

/// What waits for a function that a run has paused never starts, and neither do its rows.
#[test]
fn a_run_may_have_its_function_paused() {
    let mut world = world(60);
    look_at(&mut world, 60);
    look_at(&mut world, 3600);
    assert_eq!(ran(&world)[1], ("timed".to_owned(), "waiting".to_owned()));
    let running = world.process.as_ref().unwrap().in_flight.first().copied().unwrap();
    world.halt(running).unwrap();
    end(&mut world, Status::Failed, Some(60));
    assert_eq!(ran(&world)[1].1, "interrupted");
    assert_eq!(wake(&world), None);
    look_at(&mut world, 99_999);
    world.resume(&Selection::All).unwrap();
    look_at(&mut world, 99_999);
    assert_eq!(lane_runs(&world), 2);
}

#[test]
fn there_is_no_room_for_more_runs_than_allowed() {
    let never = || vec![trigger("t", "0 0 0 1 1 * 2020", Misfire::Skip)];
    let functions = vec![function("f", Overlap::Queue(1), never()), function("g", Overlap::Allow, never())];
    let mut world = World::new(START * 1000, 1);
    world.folders = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
    world.lane(F, Some((START + 60) * 1000));
    world.start().unwrap();
    world.fire("g", "t").unwrap();
    look_at(&mut world, 60);
    assert_eq!(ran(&world)[1], ("retry".to_owned(), "waiting".to_owned()));
    end(&mut world, Status::Succeeded, None);
    assert_eq!(ran(&world)[1], ("retry".to_owned(), "running".to_owned()));
}

#[test]
fn a_folder_that_goes_takes_its_wake_up_along() {
    let mut world = world(60);
    let function = world.folders.remove("f").unwrap();
    world.apply(Vec::new(), &["f".to_owned()]).unwrap();
    assert_eq!(world.next_wake(), None);
    world.folders.insert("f".to_owned(), Arc::clone(&function));
    world.apply(vec![function], &[]).unwrap();
    assert_eq!(wake(&world), Some(60));
}
