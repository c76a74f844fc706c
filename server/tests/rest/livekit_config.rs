//! A LiveKit server's configuration, variables and flags.

use std::path::Path;

use crate::program::{Finished, command};

const WHOLE: &str = r#"
port: 7890
bind_addresses: ["127.0.0.1", "::1"]
development: false
log_level: warn
logging: {json: true, sample: true}
keys:
  APIone: secret-one
  APItwo: secret:two
redis:
  address: localhost:6379
rtc:
  tcp_port: 7891
  udp_port: 7892-7899
  node_ip: 192.0.2.7
  use_external_ip: false
  use_ice_lite: true
  ips: {excludes: [10.0.0.0/8]}
  congestion_control: {enabled: true}
room:
  auto_create: false
  empty_timeout: 60
  departure_timeout: 5
  max_participants: 12
  enable_remote_unmute: true
  room_configurations:
    stage: {max_participants: 9, metadata: on}
  auto_craete: true
webhook:
  urls: ["https://a.example/hook", "http://b.example"]
  api_key: APItwo
  filter_params: {include_events: [room_started, room_finished]}
turn: {enabled: false, domain: turn.example}
colour: blue
"#;

#[test]
fn a_whole_file_is_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(&folder, "livekit.yaml", WHOLE);
    let (shown, _) = show(&["--livekit-config", &file, "--secrets"], &[]);
    for (key, value) in [
        ("port", "7890"),
        ("bind", "127.0.0.1,::1"),
        ("rtc_bind", "::"),
        ("rtc_tcp_port", "7891"),
        ("rtc_port_range", "7892-7899"),
        ("public_ip", "192.0.2.7"),
        ("stun_servers", "off"),
        ("rtc_networks", "192.0.2.7"),
        ("log", "warn"),
        ("log_format", "json"),
        ("api_keys", "APIone:secret-one,APItwo:secret:two"),
        ("room_auto_create", "false"),
        ("room_empty_timeout", "60"),
        ("room_departure_timeout", "5"),
        ("room_max_participants", "12"),
        ("room_presets", r#"{"stage":{"max_participants":"9","metadata":"on"}}"#),
        ("room_remote_unmute", "true"),
        ("webhook_urls", "https://a.example/hook,http://b.example"),
        ("webhook_api_key", "APItwo"),
        ("webhook_include_events", "room_started,room_finished"),
    ] {
        assert_eq!(row(&shown, key), (value.into(), "LiveKit file".into()), "{shown}");
    }
    let (again, _) = show(&["--config", &file, "--secrets"], &[]);
    assert_eq!(row(&again, "port"), row(&shown, "port"), "a YAML file is LiveKit's by any flag");
}

#[test]
fn what_has_no_effect_is_said_with_the_reason_and_what_is_unknown_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(&folder, "livekit.yaml", WHOLE);
    let (_, said) = show(&["--livekit-config", &file], &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "one for all without effect, one for each unknown:\n{said}");
    for part in [
        "redis (",
        "Banter is one process",
        "rtc.use_ice_lite (",
        "rtc.congestion_control (",
        "logging.sample",
    ] {
        assert!(lines[0].contains(part), "{part:?} is missing:\n{said}");
    }
    assert!(!said.contains("turn"), "nothing is missed that is off:\n{said}");
    assert!(!said.contains("use_external_ip"), "nothing is missed that is off:\n{said}");
    assert!(
        said.contains("room.auto_craete is not known and has no effect; did you mean room.auto_create?"),
        "{said}"
    );
    assert!(said.contains("colour is not known and has no effect\n"), "{said}");
}

#[test]
fn turn_is_taken_over_where_it_is_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let on = "turn: {enabled: true, domain: t.example, udp_port: 3479, tls_port: 5350, ttl_seconds: 600, relay_range_start: 30000, \
              cert_file: /c.pem, key_file: /k.pem}\n";
    let (shown, said) = show(&["--livekit-config", &write(&folder, "on.yaml", on)], &[]);
    for (key, value) in [
        ("turn_port", "3479"),
        ("turn_tls_port", "5350"),
        ("turn_credentials_lifetime", "600"),
        ("tls", "files"),
        ("tls_cert", "/c.pem"),
        ("tls_key", "/k.pem"),
    ] {
        assert_eq!(row(&shown, key), (value.into(), "LiveKit file".into()), "{shown}");
    }
    assert!(said.contains("turn.domain (") && said.contains("turn.relay_range_start ("), "{said}");
    let off = "turn: {enabled: false, udp_port: 3479}\n";
    let (shown, _) = show(&["--livekit-config", &write(&folder, "off.yaml", off)], &[]);
    assert_eq!(row(&shown, "turn_port").0, "3478");
}

#[test]
fn livekits_layers_lie_among_banters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(&folder, "livekit.yaml", "port: 1\nrtc: {tcp_port: 1, port_range_start: 50000}\n");
    let toml = write(&folder, "banter.toml", "port = 2\n");
    let variables = [
        ("LIVEKIT_RTC_TCP_PORT", "3"),
        ("LIVEKIT_RTC_PORT_RANGE_END", "50009"),
        ("NODE_IP", "192.0.2.9"),
        ("LIVEKIT_KEYS", "key: secret"),
        ("LIVEKIT_PORT", "tcp://10.0.0.1:7880"),
        ("LIVEKIT_URL", "ws://localhost"),
        ("LIVEKIT_ROOM_EMPTY_TIMEUOT", "1"),
    ];
    let flags = ["--livekit-config", &file, "--config", &toml, "--secrets"];
    let (shown, said) = show(&flags, &variables);
    assert_eq!(row(&shown, "port"), ("2".into(), "file".into()));
    assert_eq!(row(&shown, "rtc_tcp_port"), ("3".into(), "environment".into()));
    assert_eq!(row(&shown, "rtc_port_range"), ("50000-50009".into(), "LiveKit file".into()));
    assert_eq!(row(&shown, "public_ip"), ("192.0.2.9".into(), "environment".into()));
    assert_eq!(row(&shown, "api_keys"), ("key:secret".into(), "environment".into()));
    assert!(said.contains("did you mean LIVEKIT_ROOM_EMPTY_TIMEOUT?"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let mut more = flags.to_vec();
    more.extend([
        "--rtc.tcp_port",
        "4",
        "--node-ip",
        "192.0.2.1",
        "--udp-port",
        "5",
        "--room.auto_create=false",
    ]);
    let (shown, _) = show(&more, &variables);
    assert_eq!(row(&shown, "rtc_tcp_port"), ("4".into(), "flag".into()));
    assert_eq!(row(&shown, "public_ip"), ("192.0.2.1".into(), "flag".into()));
    assert_eq!(row(&shown, "rtc_port_range"), ("5".into(), "flag".into()));
    assert_eq!(row(&shown, "room_auto_create"), ("false".into(), "flag".into()));
}

#[test]
fn the_configuration_may_come_as_text() {
    let (shown, _) = show(&[], &[("LIVEKIT_CONFIG", "port: 5\nkeys: {a: b}\n")]);
    assert_eq!(row(&shown, "port"), ("5".into(), "LiveKit file".into()));
    let (shown, _) = show(&["--config-body", "port: 6"], &[("LIVEKIT_CONFIG", "port: 5")]);
    assert_eq!(row(&shown, "port"), ("6".into(), "LiveKit file".into()));
}

#[test]
fn bad_values_are_complained_about_by_the_name_that_was_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(
        &folder,
        "livekit.yaml",
        "port: high\nrtc: {port_range_start: 9, port_range_end: 1, node_ip: here}\nkeys: [a]\n",
    );
    let said = refuse(&["--livekit-config", &file], &[("LIVEKIT_RTC_TCP_PORT", "x")]);
    for part in [
        &format!("port in {file} \"high\" is not a port"),
        &format!("rtc.port_range_start in {file} \"9-1\""),
        &format!("rtc.node_ip in {file} \"here\""),
        "LIVEKIT_RTC_TCP_PORT \"x\"",
        "there have to be keys with secrets",
    ] {
        assert!(said.contains(part), "{part:?} is missing:\n{said}");
    }
    let said = refuse(&["--livekit-config", "/nowhere/livekit.yaml"], &[]);
    assert!(said.contains("/nowhere/livekit.yaml cannot be read"), "{said}");
    let stranger = write(&folder, "stranger.yaml", "keys: {a: b}\nwebhook: {api_key: c, urls: [ftp://x]}\n");
    assert!(refuse(&["--livekit-config", &stranger], &[]).contains("neither http:// nor https://"));
    let stranger = write(&folder, "stranger.yaml", "keys: {a: b}\nwebhook: {api_key: c}\n");
    assert!(refuse(&["--livekit-config", &stranger], &[]).contains("\"c\" is none of the API keys"));
    let broken = write(&folder, "broken.yaml", "port: [\n");
    assert!(refuse(&["--livekit-config", &broken], &[]).contains("is not valid YAML"));
}

#[cfg(unix)]
#[test]
fn a_key_file_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = write(&folder, "keys.yaml", "one: secret1\ntwo: secret2\n");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o604)).expect("its mode changes");
    assert!(refuse(&["--key-file", &keys], &[]).contains("chmod o-rwx"));
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("its mode changes");
    let (shown, _) = show(&["--key-file", &keys, "--secrets"], &[]);
    assert_eq!(row(&shown, "api_keys").0, "one:secret1,two:secret2");
    let (shown, _) = show(&["--key-file", &keys], &[]);
    assert!(!shown.contains("secret1"), "{shown}");
}

/// What `config show` prints, and what it remarks beside.
fn show(flags: &[&str], variables: &[(&str, &str)]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut arguments = vec!["config", "show", "--data-dir", data.to_str().expect("UTF-8")];
    arguments.extend(flags);
    let output = command(&arguments).envs(variables.iter().copied()).output().expect("the program runs");
    let remarks = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    (Finished::from(output).succeeded(), remarks)
}

fn refuse(flags: &[&str], variables: &[(&str, &str)]) -> String {
    let mut arguments = vec!["config", "show"];
    arguments.extend(flags);
    let output = command(&arguments).envs(variables.iter().copied()).output().expect("the program runs");
    Finished::from(output).failed(2)
}

/// A key's value and origin.
fn row(table: &str, key: &str) -> (String, String) {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(key)).expect("the key");
    let columns: Vec<_> = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    (columns[1].to_owned(), columns[2].to_owned())
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    Path::new(&path).to_str().expect("UTF-8").to_owned()
}
