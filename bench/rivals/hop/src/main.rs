// What the Lambda Web Adapter does, with the libraries it does it with: an event becomes a request to localhost.
use lambda_http::{run_concurrent, service_fn, Body, Error, Request, Response};
use reqwest::Client;

async fn handle(client: Client, target: String, request: Request) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(|path| path.as_str()).unwrap_or("/");
    let mut headers = parts.headers;
    headers.remove("host");
    headers.remove("content-length");
    let sent = client.request(parts.method, format!("{target}{path}")).headers(headers).body(body.to_vec()).send().await?;
    let mut response = Response::builder().status(sent.status());
    for (name, value) in sent.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(Body::from(sent.bytes().await?.to_vec()))?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let target = std::env::var("BENCH_TARGET")?;
    let client = Client::new();
    run_concurrent(service_fn(move |request| handle(client.clone(), target.clone(), request))).await
}
