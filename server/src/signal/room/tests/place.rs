//! Places that are kept for those who are sent here from another room.

use super::*;

const PLACE_KEPT: Duration = Duration::from_secs(15);

#[test]
fn a_place_is_kept_for_one_person_and_not_for_others() {
    let mut scene = Scene::channel();
    scene.try_join(intent("alice"), Some(2)).expect("there is room for two");
    keep(&mut scene, "bob", 2).expect("the last place");
    assert_eq!(scene.try_join(intent("carol"), Some(2)), Err(JoinRefusal::Full(2)));
    assert_eq!(keep(&mut scene, "carol", 2), Err(JoinRefusal::Full(2)));
    keep(&mut scene, "bob", 2).expect("it is bob's already");
    scene.try_join(intent("alice"), Some(2)).expect("who is inside has a place");

    let bob = scene.try_join(intent("bob"), Some(2)).expect("his place");
    assert_eq!(scene.try_join(intent("carol"), Some(2)), Err(JoinRefusal::Full(2)));
    scene.room.remove(bob, Ending::REMOVED, scene.now);
    scene.try_join(intent("carol"), Some(2)).expect("bob came, so nothing is kept for him any more");
}

#[test]
fn a_place_is_not_kept_for_ever() {
    let mut scene = Scene::channel();
    scene.try_join(intent("alice"), Some(2)).expect("there is room for two");
    keep(&mut scene, "bob", 2).expect("the last place");
    scene.advance(PLACE_KEPT - Duration::from_millis(1));
    assert_eq!(scene.try_join(intent("carol"), Some(2)), Err(JoinRefusal::Full(2)));
    scene.advance(Duration::from_millis(1));
    scene.try_join(intent("carol"), Some(2)).expect("bob did not come");
}

#[test]
fn who_takes_no_place_needs_none() {
    let mut scene = Scene::channel();
    scene.try_join(intent("alice"), Some(2)).expect("there is room for two");
    let recorder = VideoGrant { recorder: true, ..grant() };
    let now = scene.now;
    scene.room.keep_place(&intent("tape").claims, &recorder, Some(2), now).expect("it counts for nothing");
    scene.try_join(intent("bob"), Some(2)).expect("the last place");
}

fn keep(scene: &mut Scene, identity: &str, limit: u32) -> Result<(), JoinRefusal> {
    let JoinIntent { claims, grant, .. } = intent(identity);
    scene.room.keep_place(&claims, &grant, Some(limit), scene.now).map(drop)
}
