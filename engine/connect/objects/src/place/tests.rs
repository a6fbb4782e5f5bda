//! What a place says of itself, and which it refuses.

use millstream::checkpoint::remote::{Refusal, Remote};

use super::objects;

#[test]
fn nothing_secret_is_told() {
    for url in [
        "s3://me:secret@shop/jobs",
        "s3://me:a/secret@shop/jobs",
        "az://shop/jobs?sig=secret",
        "s3://shop/jobs#secret",
    ] {
        let place = objects(url).option("aws_secret_access_key", "secret");
        let refused = place.open().map(drop).map_or_else(|refusal| refusal.to_string(), |()| String::new());
        let told = format!("{} {place:?} {refused}", place.describe());
        assert!(
            !told.contains("secret\"") && !told.contains("secret@") && !told.contains("=secret"),
            "{told}"
        );
        assert!(!told.contains("#secret"), "{told}");
    }
}

#[test]
fn one_place_has_one_name() {
    assert_eq!(objects("s3://shop/jobs/a/").describe(), objects("s3://shop/jobs/a").describe());
    assert_eq!(objects("file:///srv/jobs").describe(), "file:///srv/jobs");
}

#[test]
fn what_is_no_store_is_refused() {
    for url in ["shop/jobs", "ftp://shop/jobs", "memory:///jobs", "https://shop.example/jobs"] {
        let refused = objects(url).open().map(drop);
        assert!(matches!(refused, Err(Refusal::Refused(_))), "{url}: {refused:?}");
    }
    let missing = objects("file:///there/is/no/such/share").open().map(drop);
    assert!(missing.is_err_and(|refusal| refusal.to_string().contains("mount")));
    let refused = objects("s3://shop/jobs").option("aws_color", "red").open().map(drop);
    assert!(refused.is_err_and(|refusal| refusal.to_string().contains("aws_color")));
}
