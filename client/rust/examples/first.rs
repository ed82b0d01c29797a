//! Prints a file, and every change of it: `cargo run --example first -- 127.0.0.1:50051`.

use confstream_client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:50051".into());
    let watch = Client::connect(address)?.watch("demo").start().await;
    watch.wait(std::time::Duration::from_secs(5)).await?;
    let mut changes = watch.changes(); // they begin with what is held
    while let Some(change) = changes.next().await {
        let greeting = change.new.file("greeting.yaml").ok_or("there is no greeting")?;
        println!("version {}: {}", change.new.version(), greeting.text()?);
    }
    Ok(())
}
