//! Random expressions whose meaning is known.

use proptest::prelude::*;

use crate::cron_oracle::{
    Expression, Field, Item, Special, daily, from, join, listed, named_days, range, value, wild,
};

/// Elements of a list.
fn items(min: u32, max: u32) -> BoxedStrategy<Item> {
    let step = 1..=max.min(60);
    prop_oneof![
        4 => (min..=max, any::<bool>()).prop_map(|(it, padded)| value(it, padded)),
        2 => (min..=max, min..=max, prop::option::of(step.clone()))
            .prop_map(|(one, two, step)| range(one.min(two), one.max(two), step)),
        1 => (min..=max, step.clone()).prop_map(move |(low, step)| from(Some(low), (min, max), step)),
        1 => step.prop_map(move |step| from(None, (min, max), step)),
    ]
    .boxed()
}

fn field(min: u32, max: u32, wildcards: u32) -> BoxedStrategy<Field> {
    prop_oneof![
        wildcards => Just(wild("*", min, max)),
        3 => prop::collection::vec(items(min, max), 1..4).prop_map(|items| join(&items, &[])),
    ]
    .boxed()
}

fn day_of_month() -> BoxedStrategy<Field> {
    let special = prop_oneof![
        Just(Special::LastDay),
        Just(Special::LastWeekday),
        (1_u32..=31).prop_map(Special::Nearest),
    ];
    prop_oneof![
        4 => Just(wild("*", 1, 31)),
        1 => Just(wild("?", 1, 31)),
        4 => (prop::collection::vec(items(1, 31), 0..3), prop::collection::vec(special, 0..3))
            .prop_filter("not empty", |(items, specials)| items.len() + specials.len() > 0)
            .prop_map(|(items, specials)| join(&items, &specials)),
    ]
    .boxed()
}

fn day_of_week() -> BoxedStrategy<Field> {
    let special = prop_oneof![
        (0_u32..=6).prop_map(Special::LastOf),
        (0_u32..=6, 1_u32..=5).prop_map(|(day, nth)| Special::Nth(day, nth)),
    ];
    let named = (0_u32..=6, 0_u32..=6).prop_map(|(one, two)| named_days(one.min(two), one.max(two)));
    let item = prop_oneof![3 => items(0, 6), 1 => named];
    prop_oneof![
        4 => Just(wild("*", 0, 6)),
        1 => Just(wild("?", 0, 6)),
        4 => (prop::collection::vec(item, 0..3), prop::collection::vec(special, 0..3))
            .prop_filter("not empty", |(items, specials)| items.len() + specials.len() > 0)
            .prop_map(|(items, specials)| join(&items, &specials)),
    ]
    .boxed()
}

/// Any expression. Wildcards in month and year are frequent, so that most of them fire.
pub fn expression() -> impl Strategy<Value = Expression> {
    let fields = (
        field(0, 59, 2),
        field(0, 59, 2),
        field(0, 23, 2),
        day_of_month(),
        field(1, 12, 6),
        day_of_week(),
        field(1970, 2099, 9),
    );
    fields.prop_map(|(second, minute, hour, day, month, weekday, year)| Expression {
        fields: [second, minute, hour, day, month, weekday, year],
    })
}

/// Times of day without wildcard, range or step, within an hour and a half of `hour`; every day.
pub fn fixed_times(hour: u32) -> impl Strategy<Value = Expression> {
    let list = |values: BoxedStrategy<u32>| prop::collection::vec(values, 1..4).prop_map(listed);
    let quarter = prop_oneof![Just(0_u32), Just(15), Just(30), Just(45), 0_u32..60].boxed();
    let near = (22_u32..=25).prop_map(move |more| (hour + more) % 24).boxed();
    (list(quarter.clone()), list(quarter), list(near))
        .prop_map(|(second, minute, hour)| daily(second, minute, hour))
}
