//! The description of the API.

use crate::program;
use crate::server::Server;

#[tokio::test]
async fn the_committed_document_is_what_the_program_prints_and_serves() {
    let committed = include_str!("../../../openapi.json");
    let printed = program::run(&["openapi"]).succeeded();
    assert!(printed == committed, "run `make generate` and commit openapi.json");
    let server = Server::start().await;
    let served = server.stranger().get("/api/openapi.json").await;
    assert_eq!(served.header("content-type"), "application/json");
    assert!(served.text == committed);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_answers() {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../openapi.json")).expect("JSON");
    let mut names = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            names.push(operation["operationId"].as_str().expect("a name"));
            for (status, answer) in operation["responses"].as_object().expect("answers") {
                let told = answer["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(told, "{method} {path} {status}");
            }
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
