//! The recordings of `recorded/`, whose README says where they come from.

/// The offers of one session: join, publish, unpublish and, where recorded, publish again.
pub struct Session {
    pub client: &'static str,
    pub offers: &'static [&'static str],
    /// What the client announced as the names of the two tracks.
    pub cids: [&'static str; 2],
    pub opus: u8,
    pub red: Option<u8>,
}

macro_rules! offers {
    ($($name:literal),+) => { &[$(include_str!(concat!("recorded/", $name, ".sdp"))),+] };
}

pub const SINGLE: [Session; 4] = [
    Session {
        client: "Chromium",
        offers: offers!(
            "chromium_single_join",
            "chromium_single_publish",
            "chromium_single_unpublish",
            "chromium_single_republish"
        ),
        cids: ["4a3bb59d-4d2b-4458-a2b4-b5af6f595286", "8a450d1d-e8e7-4004-bfe9-d6354fe63cd4"],
        opus: 111,
        red: Some(63),
    },
    Session {
        client: "Firefox",
        offers: offers!(
            "firefox_single_join",
            "firefox_single_publish",
            "firefox_single_unpublish",
            "firefox_single_republish"
        ),
        cids: ["{3964a3c6-05c8-457d-a48a-788c472d54fc}", "{84bf2f1b-4740-4afa-98ae-7e1201e00484}"],
        opus: 109,
        red: None,
    },
    Session {
        client: "Python",
        offers: offers!(
            "python_single_join",
            "python_single_publish",
            "python_single_unpublish",
            "python_single_republish"
        ),
        cids: ["ec9fa61b-fbda-4e5e-865f-978832fc1483", "72641aef-bdf6-45e8-8a99-6ae276302c9b"],
        opus: 111,
        red: Some(63),
    },
    Session {
        client: "Node",
        offers: offers!("node_single_join", "node_single_publish", "node_single_unpublish"),
        cids: ["488509cd-9caa-4f5d-962a-807e73e46e3e", ""],
        opus: 111,
        red: Some(63),
    },
];

pub const DUAL: [Session; 3] = [
    Session {
        client: "Chromium",
        offers: offers!(
            "chromium_dual_join",
            "chromium_dual_publish",
            "chromium_dual_unpublish",
            "chromium_dual_republish"
        ),
        cids: ["36b2269d-2690-424d-bf88-30fe8c5f82cf", "aceaba7c-cff1-4f82-88c1-b674220f13c2"],
        opus: 111,
        red: Some(63),
    },
    Session {
        client: "Firefox",
        offers: offers!(
            "firefox_dual_join",
            "firefox_dual_publish",
            "firefox_dual_unpublish",
            "firefox_dual_republish"
        ),
        cids: ["{50dc211f-e702-44c9-ac53-18d3ed7cb59a}", "{b76a9051-bbbb-44f6-9c88-7b1d15499e9f}"],
        opus: 109,
        red: None,
    },
    Session {
        client: "Python",
        offers: offers!("python_dual_join", "python_dual_publish"),
        cids: ["cadbf6eb-0154-44ef-8394-c93e107ea204", ""],
        opus: 111,
        red: Some(63),
    },
];

/// Answers of one client on its subscriber connection.
pub struct Answers {
    pub client: &'static str,
    pub answers: &'static [&'static str],
    pub red: bool,
    pub nack: bool,
}

pub const SUBSCRIBER: [Answers; 3] = [
    Answers {
        client: "Chromium",
        answers: offers!(
            "chromium_subscriber_0",
            "chromium_subscriber_1",
            "chromium_subscriber_2",
            "chromium_subscriber_3"
        ),
        red: true,
        nack: true,
    },
    Answers {
        client: "Firefox",
        answers: offers!(
            "firefox_subscriber_0",
            "firefox_subscriber_1",
            "firefox_subscriber_2",
            "firefox_subscriber_3"
        ),
        red: false,
        nack: true,
    },
    Answers {
        client: "Python",
        answers: offers!(
            "python_subscriber_0",
            "python_subscriber_1",
            "python_subscriber_2",
            "python_subscriber_3"
        ),
        red: true,
        nack: false,
    },
];
