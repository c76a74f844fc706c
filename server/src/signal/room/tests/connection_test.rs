//! Rooms that try one path of the network.

use banter_protocol::rest::TestPath;
use banter_sfu::transport::Way;
use banter_sfu::turn::Transport;

use super::*;

#[test]
fn sessions_of_a_test_are_connected_by_its_path_only() {
    for (path, way) in [
        (TestPath::Udp4, Way::Udp4),
        (TestPath::Udp6, Way::Udp6),
        (TestPath::Tcp, Way::Tcp),
        (TestPath::TurnUdp, Way::Relayed(Transport::Udp)),
        (TestPath::TurnTcp, Way::Relayed(Transport::Tcp)),
        (TestPath::TurnTls, Way::Relayed(Transport::Tls)),
    ] {
        let mut scene = Scene::of_test(path);
        scene.try_join(intent("sender"), None).expect("there is a place");
        assert_eq!(only(&scene), Some(way), "{path}");
    }
    let mut scene = Scene::with(false);
    scene.try_join(intent("alice"), None).expect("there is a place");
    assert_eq!(only(&scene), None);
}

#[test]
fn a_test_ends_after_a_minute_and_nobody_is_told_of_it() {
    let mut scene = Scene::of_test(TestPath::Tcp);
    let sender = scene.try_join(intent("sender"), None).expect("there is a place");
    scene.advance(Duration::from_secs(59));
    assert!(!scene.closed);
    let refreshed = |message: &Response| matches!(message, Response::RefreshToken(_));
    assert!(!scene.messages[&sender].iter().any(refreshed), "it would open the test again");
    scene.advance(Duration::from_secs(1));
    assert!(scene.closed);
    assert!(scene.webhooks.is_empty() && scene.presence.is_empty());
}

fn only(scene: &Scene) -> Option<Way> {
    let joined = scene.media.iter().find_map(|command| match command {
        MediaCommand::Join(spec) => Some(spec.only),
        _ => None,
    });
    joined.expect("the media plane was told")
}
