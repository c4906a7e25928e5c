//! One suite for the sources of every kind of database.

mod cases;
mod changes;
mod ground;
mod mariadb_types;
mod marks;
mod own_server;
mod postgres_types;
mod streams;
mod types;

use self::ground::{Ground, moment, table, texts, walk};

/// Runs every case on every kind of database. Another kind is another name in the first line, and a
/// function of that name in `ground`.
macro_rules! suite {
    ($($kind:ident),+; $cases:tt) => { $( suite!(@one $kind $cases); )+ };
    (@one $kind:ident [$($module:ident: $($case:ident),+;)+]) => {
        mod $kind {
            $($(
                #[tokio::test]
                async fn $case() {
                    super::$module::$case(super::Ground::$kind()).await;
                }
            )+)+
        }
    };
}

suite!(sqlite, postgres, mariadb; [
    cases: integer_keys, text_keys, uuid_keys, keys_of_several_columns, a_query, times_in_conditions,
        names_that_need_quotes, values_of_every_type, counting_and_taking_all;
    streams: all_rows_in_order, a_stream_that_is_cut_off, a_stream_that_nobody_takes;
    changes: a_table_that_changes_between_pages, rows_that_are_read_again, keys_of_another_kind,
        a_key_that_is_not_unique, a_key_that_is_null, what_is_wrong_is_said, a_connection_that_is_lost,
        a_session_that_only_looks;
    marks: flags, times_as_marks, errors_as_marks, rows_that_vanish, rows_that_are_stuck,
        a_mark_that_fails_undoes_all, a_mark_of_several_rows_undoes_all, many_rows_at_once;
]);
