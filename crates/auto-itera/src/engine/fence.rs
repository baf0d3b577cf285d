//! Whether the editor's fence saw the calls that matter.

use super::Experiment;
use crate::envelope::Envelope;
use crate::hook::Heartbeat;
use itera_core::event::Event;

impl Experiment {
    /// Writes down whether the fence saw the call of this tool that is being answered.
    ///
    /// The hook counts the calls it sees and keeps the number of the latest call of every tool; it
    /// ran for this very call where that number is above all that were written down before.
    pub(super) fn observe_fence(&mut self, tool: &str) -> Result<(), Box<Envelope>> {
        let before = self
            .entries
            .iter()
            .filter_map(|e| match &e.event {
                Event::FenceObserved { seen, .. } => *seen,
                _ => None,
            })
            .max()
            .unwrap_or(0);
        let seen =
            Heartbeat::read(self.store.folder()).and_then(|b| b.tools.get(tool).copied()).filter(|n| *n > before);
        self.append(vec![Event::FenceObserved { during: tool.to_owned(), seen }])
    }
}
