//! What the keywords of a subscription message take. WeChat refuses a message with a value that is too long, so it is
//! not even sent. Types that are not known here pass: new ones come.

/// Why `value` cannot stand for the keyword `key`, such as `thing1`, if it cannot.
pub(super) fn problem(key: &str, value: &str) -> Option<String> {
    let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let length = value.chars().count();
    let too_long = |limit: usize| {
        (length > limit).then(|| {
            format!("a `{kind}` has at most {limit} characters, and this has {length}: {}", cut(value))
        })
    };
    let wrong = |what: &str| Some(format!("a `{kind}` is {what}, and this is not: {}", cut(value)));
    if value.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    match kind {
        "thing" => too_long(20),
        "letter" => too_long(32).or_else(|| {
            if value.chars().all(|c| c.is_ascii_alphabetic()) { None } else { wrong("of letters") }
        }),
        "symbol" => too_long(5)
            .or_else(|| if value.chars().any(char::is_alphanumeric) { wrong("of symbols") } else { None }),
        "character_string" => too_long(32)
            .or_else(|| if value.is_ascii() { None } else { wrong("of digits, letters and symbols") }),
        "number" => too_long(32).or_else(|| if is_number(value) { None } else { wrong("a number") }),
        "amount" => amount(value).map_or_else(|| wrong("an amount of at most 10 digits"), |()| None),
        "phone_number" => too_long(17).or_else(|| {
            let is_phone = value.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
            if is_phone { None } else { wrong("a phone number") }
        }),
        "car_number" => too_long(8),
        "name" => too_long(if value.is_ascii() { 20 } else { 10 }),
        "phrase" => too_long(5)
            .or_else(|| if value.chars().all(is_chinese) { None } else { wrong("of Chinese characters") }),
        "time" => {
            if has(value, is_time) {
                None
            } else {
                wrong("a time such as 15:01 or 2019年10月1日 15:01")
            }
        }
        "date" => {
            if has(value, is_date) {
                None
            } else {
                wrong("a date such as 2019年10月1日 or 2019-10-01")
            }
        }
        _ => None,
    }
}

/// The beginning of a value, for the message about it.
fn cut(value: &str) -> String {
    let shown: String = value.chars().take(40).collect();
    if shown.len() < value.len() { format!("{shown}…") } else { shown }
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' | '〇')
}

/// Digits, with decimals or without.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals)
}

/// One currency sign or none, at most ten digits before the point, decimals or none, `元` at the end or not.
fn amount(text: &str) -> Option<()> {
    let text = text.strip_suffix('元').unwrap_or(text);
    let sign = text.chars().next().filter(|c| !c.is_ascii_digit());
    let digits = &text[sign.map_or(0, char::len_utf8)..];
    let whole = digits.split('.').next().unwrap_or_default();
    (is_number(digits) && !digits.starts_with(['-', '+']) && whole.len() <= 10).then_some(())
}

/// Whether some word of a time or a period is `what`, and all words are dates or times.
fn has(text: &str, what: fn(&str) -> bool) -> bool {
    let mut words = text.split(['~', '～', ' ', 'T', '\u{3000}']).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.clone().any(what) && words.all(|word| is_time(word) || is_date(word))
}

/// `15:01`, `9:00:00`.
fn is_time(word: &str) -> bool {
    let parts: Vec<&str> = word.split([':', '：']).collect();
    (2..=3).contains(&parts.len())
        && parts.iter().zip([24, 60, 60]).all(|(part, limit)| number(part).is_some_and(|part| part < limit))
}

/// `2019年10月1日`, `10月1日`, `2019-10-01`, with `/` or `.` too.
fn is_date(word: &str) -> bool {
    let word = word.strip_suffix(['日', '号']).unwrap_or(word);
    let parts: Vec<&str> = word.split(['年', '月', '-', '/', '.']).filter(|part| !part.is_empty()).collect();
    let (Some((day, before)), true) = (parts.split_last(), (2..=3).contains(&parts.len())) else {
        return false;
    };
    let month = before.last().copied().and_then(number);
    number(day).is_some_and(|day| (1..=31).contains(&day))
        && month.is_some_and(|month| (1..=12).contains(&month))
        && (before.len() == 1 || number(before[0]).is_some_and(|year| year >= 1000))
}

fn number(text: &str) -> Option<u32> {
    let is_short = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wechat_takes_passes() {
        for (key, value) in [
            ("thing1", "鼓楼".repeat(10).as_str()),
            ("thing22", "a"),
            ("number1", &"1".repeat(32)),
            ("number1", "3.14"),
            ("letter1", &"a".repeat(32)),
            ("symbol1", "#$%^&"),
            ("character_string1", "No.2026-0601/a"),
            ("time1", "15:01"),
            ("time2", "2019年10月1日 15:01"),
            ("time2", "2019-10-01 15:01:59~16:30"),
            ("time2", "2026-06-01T15:01"),
            ("date3", "2019年10月1日"),
            ("date3", "2019年10月1日 15:01~2019年10月2日 15:01"),
            ("date3", "2026/6/1"),
            ("amount4", "￥1234567890.25元"),
            ("amount4", "100"),
            ("amount4", "$1.5"),
            ("phone_number1", "+86-0766-66888866"),
            ("car_number1", "粤A8Z888挂"),
            ("name1", "欧阳子雨"),
            ("name1", "Ada Lovelace of 1815"),
            ("phrase1", "配送中"),
            ("const1", "whatever, of any length, for new types come every year"),
            ("keyword1", "free text of an older template, longer than twenty characters"),
        ] {
            assert_eq!(problem(key, value), None, "{key} {value}");
        }
    }

    #[test]
    fn what_wechat_refuses_is_named_with_its_limit_and_length() {
        let long = "鼓".repeat(21);
        assert_eq!(
            problem("thing12", &long).unwrap(),
            format!("a `thing` has at most 20 characters, and this has 21: {long}")
        );
        for (key, value, expected) in [
            ("thing1", " ", "it is empty"),
            ("number1", &*"1".repeat(33), "at most 32 characters, and this has 33"),
            ("number1", "1,000", "is a number"),
            ("number1", "五", "is a number"),
            ("letter1", "a1", "of letters"),
            ("letter1", &"a".repeat(33), "at most 32"),
            ("symbol1", "######", "at most 5 characters, and this has 6"),
            ("symbol1", "a", "of symbols"),
            ("character_string1", "单号1", "of digits, letters and symbols"),
            ("time1", "2019年10月1日", "a time such as"),
            ("time1", "24:00", "a time such as"),
            ("time1", "soon", "a time such as"),
            ("date1", "15:01", "a date such as"),
            ("date1", "2019-13-01", "a date such as"),
            ("amount1", "￥12345678901", "at most 10 digits"),
            ("amount1", "￥￥1", "at most 10 digits"),
            ("amount1", "元", "at most 10 digits"),
            ("phone_number1", "+86-0766-668888661", "at most 17 characters, and this has 18"),
            ("phone_number1", "call me", "a phone number"),
            ("car_number1", "粤A8Z8888挂", "at most 8 characters, and this has 9"),
            ("name1", "欧阳子雨和司徒博文宁悦", "at most 10 characters, and this has 11"),
            ("name1", "Ada Lovelace of London", "at most 20"),
            ("phrase1", "正在配送途中", "at most 5 characters, and this has 6"),
            ("phrase1", "ok", "of Chinese characters"),
        ] {
            let found = problem(key, value);
            assert!(found.as_ref().is_some_and(|found| found.contains(expected)), "{key} {value}: {found:?}");
        }
        let shown = problem("thing1", &"x".repeat(1000)).unwrap();
        assert!(shown.ends_with(&format!("this has 1000: {}…", "x".repeat(40))), "{shown}");
    }
}
