//! What the state promises, on SQLite and on PostgreSQL: one suite of cases, each of them run on both.
//!
//! A case is given a place where no state is yet. `postgres_crash` has what only a server can do to its clients.

mod home;
mod ledger;
mod memo;
mod owners;
mod postgres_crash;
mod quota;
mod runs;
mod triggers;

macro_rules! on_both {
    ($($module:ident: $($case:ident)*;)*) => {
        mod sqlite {
            $($(
                #[tokio::test]
                async fn $case() {
                    super::$module::$case(&super::home::Home::sqlite()).await;
                }
            )*)*
        }
        mod postgres {
            $($(
                #[tokio::test]
                async fn $case() {
                    super::$module::$case(&super::home::Home::postgres()).await;
                }
            )*)*
        }
    };
}

on_both! {
    runs:
        a_fire_time_is_claimed_once_for_ever
        a_manual_run_claims_no_fire_time
        overlap_skip_runs_one_and_records_the_others_as_one_span
        overlap_queue_lets_only_so_many_wait
        overlap_replace_names_what_runs_and_ends_what_waits
        without_room_a_run_waits_whatever_the_policy
        many_claims_of_one_call_see_each_other
        idle_runs_are_folded_until_one_finds_work
        idle_runs_that_end_together_are_folded
        the_number_of_a_folded_run_is_not_given_again
        ends_that_come_together_are_all_recorded
        a_run_that_waited_starts_and_is_adopted
        a_run_that_is_tried_again_says_until_when_it_waits
        what_a_run_said_is_read_back_in_order
        history_is_filtered_and_runs_are_found_by_either_name
        pruning_goes_by_count_and_by_age
        the_oldest_output_goes_when_there_is_too_much;
    triggers:
        a_skipped_span_moves_the_mark
        a_trigger_stands_where_its_newest_run_is
        a_mark_in_the_future_is_put_back_and_said
        a_trigger_that_was_out_of_the_configuration_starts_anew_and_stays_paused
        a_pause_ends_with_what_was_skipped_in_one_step
        a_span_never_covers_a_run_that_was_folded_or_pruned;
    owners:
        the_state_has_one_owner_at_a_time
        a_restart_sees_what_was_left_open
        a_newer_state_is_refused
        a_reader_of_no_state_says_so;
    ledger:
        a_key_is_reserved_once_until_it_is_forgotten
        a_key_that_comes_twice_in_a_step_is_reserved_once
        only_what_is_reserved_is_recorded_and_a_step_is_done_whole
        outcomes_are_kept_as_they_are
        the_retry_lane_goes_by_time_and_a_row_keeps_its_reservation
        a_scope_goes_on_until_its_fire_is_done
        a_fires_own_scope_goes_when_nothing_waits_in_it
        what_a_crash_left_is_held_or_sent_again
        a_lane_run_leaves_the_fire_as_it_is
        rows_are_discarded_unless_a_run_has_them;
    memo:
        a_function_remembers_through_a_restart;
    quota:
        a_quota_holds_through_a_restart
        what_is_given_back_of_a_quota_may_be_taken_again
        a_quota_rests_for_the_longest_that_was_said;
}
