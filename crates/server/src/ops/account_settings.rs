//! PutAccountSetting, PutAccountSettingDefault, ListAccountSettings, DeleteAccountSetting: kept and shown as ECS does. None of
//! them changes what Seawall does.

use seawall_model::ApiError;
use seawall_proto::{
    internal::v1 as internal,
    v1::{
        DeleteAccountSettingRequest, DeleteAccountSettingResponse, ListAccountSettingsRequest,
        ListAccountSettingsResponse, PutAccountSettingDefaultRequest, PutAccountSettingDefaultResponse,
        PutAccountSettingRequest, PutAccountSettingResponse, Setting,
    },
};
use seawall_state::State;

use super::{
    CommandKind, Ctx, DeleteAccountSetting, ListAccountSettings, Outcome, PutAccountSetting, PutAccountSettingDefault,
    ReadCtx, ReadOp, RenderCtx, Write, WriteOp, page, page::Page,
};

/// ECS's settings: name, default, and the values that it takes.
struct Known(&'static str, &'static str, &'static [&'static str]);

const ON_OFF: &[&str] = &["enabled", "disabled", "on", "off"];
const LONG_ARN: &[&str] = &["enabled"];

#[rustfmt::skip]
const SETTINGS: &[Known] = &[
    Known("serviceLongArnFormat", "enabled", LONG_ARN),
    Known("taskLongArnFormat", "enabled", LONG_ARN),
    Known("containerInstanceLongArnFormat", "enabled", LONG_ARN),
    Known("awsvpcTrunking", "disabled", ON_OFF),
    Known("containerInsights", "disabled", &["enabled", "disabled", "enhanced", "on", "off"]),
    Known("fargateFIPSMode", "disabled", ON_OFF),
    Known("tagResourceAuthorization", "off", ON_OFF),
    Known("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"]),
    Known("guardDutyActivate", "off", &["on", "off"]),
    Known("defaultLogDriverMode", "non-blocking", &["blocking", "non-blocking"]),
    Known("fargateEventWindows", "disabled", ON_OFF),
];

impl WriteOp for PutAccountSetting {
    type Request = PutAccountSettingRequest;
    type Response = PutAccountSettingResponse;

    fn prepare(_: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        put(request.principal_arn(), request.name(), request.value())
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let arn = shown_principal(ctx.state, request.principal_arn());
        Ok(PutAccountSettingResponse { setting: Some(setting(request.name(), request.value(), arn)) })
    }
}

impl WriteOp for PutAccountSettingDefault {
    type Request = PutAccountSettingDefaultRequest;
    type Response = PutAccountSettingDefaultResponse;

    fn prepare(_: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        put("", request.name(), request.value())
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let arn = shown_principal(ctx.state, "");
        Ok(PutAccountSettingDefaultResponse { setting: Some(setting(request.name(), request.value(), arn)) })
    }
}

impl WriteOp for DeleteAccountSetting {
    type Request = DeleteAccountSettingRequest;
    type Response = DeleteAccountSettingResponse;

    fn prepare(_: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        known(request.name())?;
        let command = internal::DeleteAccountSetting {
            principal_arn: request.principal_arn().into(),
            name: request.name().into(),
        };
        Ok(Write::one(CommandKind::DeleteAccountSetting(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let arn = shown_principal(ctx.state, request.principal_arn());
        let value = known(request.name())?.1;
        Ok(DeleteAccountSettingResponse { setting: Some(setting(request.name(), value, arn)) })
    }
}

impl ReadOp for ListAccountSettings {
    type Request = ListAccountSettingsRequest;
    type Response = ListAccountSettingsResponse;

    /// What was set; with `effectiveSettings` every setting, with the principal's own value, else the account's, else ECS's.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        page::check_small(request.max_results)?;
        if request.name.is_some() {
            known(request.name())?;
        }
        let effective = if request.effective_settings() { "effective" } else { "set" };
        let filters = ["ListAccountSettings", request.name(), request.value(), request.principal_arn(), effective];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::SERVICES_PAGE)?;
        let arn = request.principal_arn();
        let found = SETTINGS.iter().filter_map(|Known(name, default, _)| {
            let of = |principal: &str| {
                let key = (ctx.principal.account, principal.to_owned(), (*name).to_owned());
                ctx.state.account_settings.get(&key).map(|row| row.value.clone())
            };
            let value = if request.effective_settings() {
                Some(of(arn).or_else(|| of("")).unwrap_or_else(|| (*default).into()))
            } else {
                of(arn)
            }?;
            let asked = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
            let listed = asked(request.name(), name) && asked(request.value(), &value);
            listed.then(|| (name.as_bytes().to_vec(), setting(name, &value, shown_principal(ctx.state, arn))))
        });
        let mut found: Vec<(Vec<u8>, Setting)> = found.collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let (settings, next_token) = page.take(found.into_iter(), false);
        Ok(ListAccountSettingsResponse { settings, next_token })
    }
}

fn put(principal_arn: &str, name: &str, value: &str) -> Result<Write, ApiError> {
    let Known(_, _, values) = known(name)?;
    if !values.contains(&value) {
        let values = values.join(", ");
        return Err(ApiError::invalid(format!("The value of {name} is '{value}'; it must be one of {values}.")));
    }
    let command =
        internal::PutAccountSetting { principal_arn: principal_arn.into(), name: name.into(), value: value.into() };
    Ok(Write::one(CommandKind::PutAccountSetting(command)))
}

fn known(name: &str) -> Result<&'static Known, ApiError> {
    SETTINGS.iter().find(|known| known.0 == name).ok_or_else(|| {
        let names: Vec<&str> = SETTINGS.iter().map(|known| known.0).collect();
        ApiError::invalid(format!("'{name}' is no account setting; it must be one of {}.", names.join(", ")))
    })
}

/// ECS shows the account's own settings as its root's.
fn shown_principal(state: &State, principal_arn: &str) -> String {
    match principal_arn {
        "" => format!("arn:aws:iam::{}:root", state.meta.account),
        arn => arn.to_owned(),
    }
}

fn setting(name: &str, value: &str, principal_arn: String) -> Setting {
    Setting {
        name: Some(name.into()),
        value: Some(value.into()),
        principal_arn: Some(principal_arn),
        r#type: Some(if name == "guardDutyActivate" { "aws_managed" } else { "user" }.into()),
    }
}
