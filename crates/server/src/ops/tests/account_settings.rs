use seawall_model::ErrorCode;
use serde_json::json;

use crate::testing::TestCluster;

#[test]
fn settings_are_kept_for_principals_and_the_account() {
    let mut cluster = TestCluster::new();
    let user = "arn:aws:iam::000000000000:user/ann";
    cluster.must("PutAccountSettingDefault", json!({"name": "containerInsights", "value": "enhanced"}));
    cluster.must("PutAccountSetting", json!({"name": "awsvpcTrunking", "value": "enabled", "principalArn": user}));
    let set = cluster.must("ListAccountSettings", json!({}));
    assert_eq!(set["settings"].as_array().unwrap().len(), 1);
    assert_eq!(set["settings"][0]["principalArn"], "arn:aws:iam::000000000000:root");
    let of = |cluster: &mut TestCluster, name: &str| {
        let input = json!({"name": name, "effectiveSettings": true, "principalArn": user});
        cluster.must("ListAccountSettings", input)["settings"][0]["value"].clone()
    };
    assert_eq!(of(&mut cluster, "awsvpcTrunking"), "enabled");
    assert_eq!(of(&mut cluster, "containerInsights"), "enhanced");
    assert_eq!(of(&mut cluster, "serviceLongArnFormat"), "enabled");
    cluster.must("DeleteAccountSetting", json!({"name": "awsvpcTrunking", "principalArn": user}));
    assert_eq!(of(&mut cluster, "awsvpcTrunking"), "disabled");
    let page = cluster.must("ListAccountSettings", json!({"effectiveSettings": true}));
    assert_eq!(page["settings"].as_array().unwrap().len(), 10);
    assert!(page["nextToken"].is_string());
    assert_eq!(cluster.refused("ListAccountSettings", json!({"maxResults": 11})).code, ErrorCode::InvalidParameter);
}

#[test]
fn long_arns_stay_and_unknown_settings_are_refused() {
    let mut cluster = TestCluster::new();
    let off = json!({"name": "taskLongArnFormat", "value": "disabled"});
    assert_eq!(cluster.refused("PutAccountSetting", off).code, ErrorCode::InvalidParameter);
    let unknown = json!({"name": "taskLongArn", "value": "enabled"});
    assert_eq!(cluster.refused("PutAccountSetting", unknown).code, ErrorCode::InvalidParameter);
}
