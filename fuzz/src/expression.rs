//! Expressions of which the oracle knows the meaning, made of the fuzzer's bytes.

use libfuzzer_sys::arbitrary::{Result, Unstructured};

use crate::oracle::{Expression, Field, Item, Special, from, join, listed, named_days, range, value, wild};

/// Any expression.
pub fn expression(bytes: &mut Unstructured<'_>) -> Result<Expression> {
    let fields = [
        field(bytes, (0, 59))?,
        field(bytes, (0, 59))?,
        field(bytes, (0, 23))?,
        days(bytes, (1, 31), |bytes| {
            Ok(match bytes.int_in_range(0..=2)? {
                0 => Special::LastDay,
                1 => Special::LastWeekday,
                _ => Special::Nearest(bytes.int_in_range(1..=31)?),
            })
        })?,
        rarely(bytes, (1, 12))?,
        days(bytes, (0, 6), |bytes| {
            let day = bytes.int_in_range(0..=6)?;
            Ok(if bytes.arbitrary()? {
                Special::LastOf(day)
            } else {
                Special::Nth(day, bytes.int_in_range(1..=5)?)
            })
        })?,
        rarely(bytes, (1970, 2099))?,
    ];
    Ok(Expression { fields })
}

fn field(bytes: &mut Unstructured<'_>, (min, max): (u32, u32)) -> Result<Field> {
    Ok(match bytes.int_in_range(0..=3)? {
        0 => wild("*", min, max),
        1 => {
            let count = bytes.int_in_range(1..=4)?;
            listed((0..count).map(|_| bytes.int_in_range(min..=max)).collect::<Result<Vec<_>>>()?)
        }
        _ => join(&items(bytes, (min, max), 1)?, &[]),
    })
}

/// Mostly `*`, so that most expressions fire.
fn rarely(bytes: &mut Unstructured<'_>, (min, max): (u32, u32)) -> Result<Field> {
    if bytes.ratio(1, 4)? { field(bytes, (min, max)) } else { Ok(wild("*", min, max)) }
}

fn days(
    bytes: &mut Unstructured<'_>,
    (min, max): (u32, u32),
    special: fn(&mut Unstructured<'_>) -> Result<Special>,
) -> Result<Field> {
    Ok(match bytes.int_in_range(0..=3)? {
        0 => wild("*", min, max),
        1 => wild("?", min, max),
        _ => {
            let count = bytes.int_in_range(0..=2)?;
            let specials = (0..count).map(|_| special(bytes)).collect::<Result<Vec<_>>>()?;
            let mut items = items(bytes, (min, max), u32::from(specials.is_empty()))?;
            if max == 6 && bytes.arbitrary()? {
                let (one, two) = (bytes.int_in_range(0..=6)?, bytes.int_in_range(0..=6)?);
                items.push(named_days(one.min(two), one.max(two)));
            }
            join(&items, &specials)
        }
    })
}

fn items(bytes: &mut Unstructured<'_>, (min, max): (u32, u32), least: u32) -> Result<Vec<Item>> {
    let count = bytes.int_in_range(least..=3)?;
    let step = |bytes: &mut Unstructured<'_>| bytes.int_in_range(1..=max);
    let one = |bytes: &mut Unstructured<'_>| {
        let (one, two) = (bytes.int_in_range(min..=max)?, bytes.int_in_range(min..=max)?);
        Ok(match bytes.int_in_range(0..=5)? {
            0 | 1 => value(one, one != two),
            2 => range(one.min(two), one.max(two), None),
            3 => range(one.min(two), one.max(two), Some(step(bytes)?)),
            4 => from(Some(one), (min, max), step(bytes)?),
            _ => from(None, (min, max), step(bytes)?),
        })
    };
    (0..count).map(|_| one(bytes)).collect()
}
