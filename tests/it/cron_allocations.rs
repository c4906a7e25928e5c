//! Fire times are found without touching the heap.

use allocation_counter::measure;
use gulou::schedule::Schedule;

#[test]
fn next_previous_and_count_never_allocate() {
    assert!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total > 0, "the counter counts");
    for text in [
        "* * * * * * *",
        "0 30 2 * * * *",
        "0 */7 1-3 LW,15W * 5L,MON#2 *",
        "0 0 0 29 2 * *",
        "0 0 0 30 2 * *",
        "@every 90m",
        "@at 2026-06-01T09:00:00+08:00,2027-06-01T09:00:00+08:00",
    ] {
        for zone in ["Asia/Shanghai", "America/New_York", "Pacific/Apia"] {
            let schedule = Schedule::parse(text, zone).unwrap();
            let bounded = schedule.clone().within(Some(500_000_000), Some(3_000_000_000));
            let found = measure(|| {
                for schedule in [&schedule, &bounded] {
                    for day in 0..2000 {
                        let at = day * 2_000_003;
                        std::hint::black_box((schedule.next(at), schedule.previous(at)));
                    }
                    std::hint::black_box(schedule.count(0, 4_000_000_000));
                }
            });
            assert_eq!(found.count_total, 0, "{text} in {zone}");
        }
    }
}
