//! `gulou explain` as a program.

use std::process::{Command, Output};

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gulou"))
        .args(["explain", "--after", "2026-01-01T00:00:00+08:00"])
        .args(arguments)
        .env_remove("LANG")
        .output()
        .unwrap()
}

fn answer(arguments: &[&str]) -> String {
    let output = explain(arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn says_the_sentence_the_next_fires_the_month_and_the_lints() {
    let expected = "\
Fires sixty times, every second from 17:30:00 to 17:30:59, every Friday (Asia/Shanghai).

Next:
  2026-01-02 Fri 17:30:00 +08:00  (2026-01-02T09:30:00Z)
  2026-01-02 Fri 17:30:01 +08:00  (2026-01-02T09:30:01Z)
  2026-01-02 Fri 17:30:02 +08:00  (2026-01-02T09:30:02Z)
  2026-01-02 Fri 17:30:03 +08:00  (2026-01-02T09:30:03Z)
  2026-01-02 Fri 17:30:04 +08:00  (2026-01-02T09:30:04Z)

  January 2026
   Mon  Tue  Wed  Thu  Fri  Sat  Sun
                   1  [ 2]   3    4
    5    6    7    8  [ 9]  10   11
   12   13   14   15  [16]  17   18
   19   20   21   22  [23]  24   25
   26   27   28   29  [30]  31

warning: fires sixty times, once in each of the 60 seconds of 17:30; for one fire write `0` as the second [every-second]
";
    assert_eq!(answer(&["* 30 17 * * FRI *"]), expected);
}

#[test]
fn speaks_chinese() {
    let expected = "\
触发时间：每月 1 日 09:00（Asia/Shanghai）。

接下来：
  2026-01-01 周四 09:00:00 +08:00  (2026-01-01T01:00:00Z)
  2026-02-01 周日 09:00:00 +08:00  (2026-02-01T01:00:00Z)
  2026-03-01 周日 09:00:00 +08:00  (2026-03-01T01:00:00Z)
  2026-04-01 周三 09:00:00 +08:00  (2026-04-01T01:00:00Z)
  2026-05-01 周五 09:00:00 +08:00  (2026-05-01T01:00:00Z)

  2026 年 1 月
  周一 周二 周三 周四 周五 周六 周日
                 [ 1]   2    3    4
    5    6    7    8    9   10   11
   12   13   14   15   16   17   18
   19   20   21   22   23   24   25
   26   27   28   29   30   31
";
    assert_eq!(answer(&["--lang", "zh", "0 0 9 1 * * *"]), expected);
}

#[test]
fn a_schedule_that_never_fires_says_so() {
    let expected =
        "Fires at 00:00, on the 30th of February (Asia/Shanghai).\n\nIt never fires after that time.\n";
    assert_eq!(answer(&["0 0 0 30 2 * *"]), expected);
}

#[test]
fn json_has_both_languages() {
    let answer: serde_json::Value =
        serde_json::from_str(&answer(&["--json", "--tz", "America/New_York", "0 0 9 31 * * *"])).unwrap();
    assert_eq!(answer["en"], "at 09:00, on the 31st of each month");
    assert_eq!(answer["zh"], "每月 31 日 09:00");
    assert_eq!(answer["next"][0], "2026-01-31T09:00:00-05:00");
    assert_eq!(answer["month"], serde_json::json!({ "month": "2026-01", "days": [31] }));
    assert_eq!(answer["lints"][0]["code"], "short-months");
}

#[test]
fn refuses_with_the_caret() {
    let output = explain(&["0 0 9 * * MON-SUN *"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "day of week: the range `MON-SUN` runs backwards\n  0 0 9 * * MON-SUN *\n            ^^^^^^^\n  \
         help: write `0 0 9 * * MON-SAT,SUN *`\n"
    );
}
