//! A log that is still being written.

use super::OpenError;
use super::dialer::Dialer;
use super::raw::RawClient;

/// The lines of a log, as they come.
#[derive(Debug)]
pub struct Follow {
    client: RawClient,
    /// What was received after the last line that was handed out.
    rest: Vec<u8>,
}

impl Follow {
    /// Asks for a target of `containerLogs` that says `follow=true`.
    ///
    /// # Errors
    /// [`OpenError::Refused`] holds an answer with another status than 200.
    pub async fn open(dialer: &Dialer, target: &str) -> Result<Self, OpenError> {
        let mut client = RawClient::connect(dialer).await?;
        client.send_request("GET", target).await?;
        let head = client.head().await?;
        if head.status == 200 {
            Ok(Self { client, rest: Vec::new() })
        } else {
            Err(OpenError::Refused(client.body(head).await?))
        }
    }

    /// The next line with its end, however the chunks are cut; none when the log is over.
    ///
    /// # Errors
    /// When none comes in time, the connection ends within a body, or the line is no text.
    pub async fn line(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.drain(..=end).collect();
                return Ok(Some(String::from_utf8(line)?));
            }
            match self.client.chunk().await? {
                Some(chunk) => self.rest.extend(chunk),
                None => return Ok(None),
            }
        }
    }
}
