//! What listens in a pod of the demo: a server that returns what it gets.

use tokio::net::TcpListener;

/// Serves for as long as the runtime lasts, on a port of 127.0.0.1 that the system picks.
///
/// # Errors
/// When there is no port left.
pub async fn start() -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                // Whoever goes away in the middle has seen enough.
                let _ended = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Ok(port)
}
