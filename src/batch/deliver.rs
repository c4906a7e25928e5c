//! What a batch asks of its action.

use std::fmt::Debug;

use super::export::Export;
use crate::action::{Delivery, Outcome};
use crate::run::Row;
use crate::settings::QuotaSettings;

/// An action that a batch delivers with: rendering apart from delivering, so that a preview can
/// stop in between. Shared by all deliveries in flight.
pub trait Deliver: Debug + Send + Sync + 'static {
    /// What goes out.
    type Rendered: Send + Sync + 'static;
    /// What it holds while it is delivered.
    type Turn: Send;

    /// Fills the templates with one row. The error is what becomes of the row: a failure, or a halt
    /// when every row would fare alike.
    fn render(&self, delivery: &Delivery<'_>)
    -> impl Future<Output = Result<Self::Rendered, Outcome>> + Send;

    /// Fills the templates with all rows of a run; the row of `delivery` has no columns.
    fn render_digest(
        &self,
        delivery: &Delivery<'_>,
        rows: &[Row],
    ) -> impl Future<Output = Result<Self::Rendered, Outcome>> + Send;

    /// How many deliveries may be under way when the batch's `concurrency` is this.
    fn at_once(&self, concurrency: usize) -> usize {
        concurrency
    }

    /// How all rows go into a file, if that is what the action does.
    fn export(&self) -> Option<&Export> {
        None
    }

    /// Waits until it may go, where others to the same place have to be through first. A call that is dropped leaves
    /// nothing in doubt.
    fn turn(&self, rendered: &Self::Rendered) -> impl Future<Output = Self::Turn> + Send;

    /// Sends it and says what became of it. A call that is dropped leaves it in doubt.
    fn deliver(&self, turn: Self::Turn, rendered: &Self::Rendered) -> impl Future<Output = Outcome> + Send;

    /// The quota that the other side keeps, whoever sends to it.
    fn quota(&self) -> Option<QuotaSettings> {
        None
    }

    /// For people, one line each: what would go out.
    fn show(&self, rendered: &Self::Rendered) -> Vec<String>;
}
