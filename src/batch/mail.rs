//! The mail action, as a batch delivers with it.

use super::Deliver;
use crate::action::mail::{MailAction, RenderedMail};
use crate::action::{Delivery, Outcome};
use crate::run::Row;

impl Deliver for MailAction {
    type Rendered = RenderedMail;

    fn render(&self, delivery: &Delivery<'_>) -> Result<RenderedMail, Outcome> {
        Ok(Self::render(self, delivery)?)
    }

    fn render_digest(&self, delivery: &Delivery<'_>, rows: &[Row]) -> Result<RenderedMail, Outcome> {
        Ok(Self::render_digest(self, rows, delivery.reservation, delivery.fire_time, delivery.now)?)
    }

    fn deliver(&self, rendered: &RenderedMail) -> impl Future<Output = Outcome> + Send {
        Self::deliver(self, rendered)
    }

    fn show(&self, rendered: &RenderedMail) -> Vec<String> {
        rendered.lines()
    }
}
