//! CreateCluster, DescribeClusters, ListClusters, UpdateCluster, UpdateClusterSettings, DeleteCluster.

use seawall_model::{ApiError, ClusterId, DEFAULT_CLUSTER, is_ecs_name, limits::DESCRIBE_MAX};
use seawall_proto::{
    internal::v1 as internal,
    v1::{
        Cluster, ClusterServiceConnectDefaults, ClusterServiceConnectDefaultsRequest, CreateClusterRequest,
        CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse, DescribeClustersRequest,
        DescribeClustersResponse, ListClustersRequest, ListClustersResponse, UpdateClusterRequest,
        UpdateClusterResponse, UpdateClusterSettingsRequest, UpdateClusterSettingsResponse,
    },
};
use seawall_state::State;

use super::{
    CommandKind, CreateCluster, Ctx, DeleteCluster, DescribeClusters, ListClusters, Outcome, ReadCtx, ReadOp,
    RenderCtx, UpdateCluster, UpdateClusterSettings, Write, WriteOp, at_most, capacity_providers, not_empty, page,
    page::Page, resolve,
};
use crate::{
    render::{self, cluster::Include},
    validate,
};

impl WriteOp for CreateCluster {
    type Request = CreateClusterRequest;
    type Response = CreateClusterResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let name = request.cluster_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(DEFAULT_CLUSTER);
        if !is_ecs_name(name) {
            return Err(ApiError::invalid(format!(
                "Invalid cluster name '{name}': it must have 1 to 255 letters, digits, hyphens and underscores."
            )));
        }
        validate::tags::check(&request.tags, validate::tags::On::Other)?;
        let command = internal::CreateCluster {
            account: ctx.principal.account,
            name: name.into(),
            tags: request.tags.clone(),
            configuration: request.configuration.clone(),
            settings: request.settings.clone(),
            service_connect_defaults: request.service_connect_defaults.clone().map(defaults),
            capacity_providers: capacity_providers::names(ctx.state, &request.capacity_providers)?,
            default_strategy: capacity_providers::strategy(ctx.state, &request.default_capacity_provider_strategy)?,
        };
        Ok(Write::one(CommandKind::CreateCluster(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(CreateClusterResponse { cluster: Some(changed(ctx.state, outcome, Include::all())?) })
    }
}

impl WriteOp for UpdateCluster {
    type Request = UpdateClusterRequest;
    type Response = UpdateClusterResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let row = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let command = internal::UpdateCluster {
            cluster_id: row.id,
            configuration: request.configuration.clone(),
            settings: request.settings.clone().unwrap_or_default().items,
            service_connect_defaults: request.service_connect_defaults.clone().map(defaults),
        };
        Ok(Write::one(CommandKind::UpdateCluster(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(UpdateClusterResponse { cluster: Some(changed(ctx.state, outcome, Include::all())?) })
    }
}

impl WriteOp for UpdateClusterSettings {
    type Request = UpdateClusterSettingsRequest;
    type Response = UpdateClusterSettingsResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let settings = request.settings.clone().unwrap_or_default().items;
        not_empty("Settings", settings.len())?;
        let row = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let command = internal::UpdateCluster { cluster_id: row.id, settings, ..Default::default() };
        Ok(Write::one(CommandKind::UpdateCluster(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(UpdateClusterSettingsResponse { cluster: Some(changed(ctx.state, outcome, Include::all())?) })
    }
}

impl WriteOp for DeleteCluster {
    type Request = DeleteClusterRequest;
    type Response = DeleteClusterResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let row = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        Ok(Write::one(CommandKind::DeleteCluster(internal::DeleteCluster { cluster_id: row.id })))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(DeleteClusterResponse { cluster: Some(changed(ctx.state, outcome, Include::default())?) })
    }
}

impl ReadOp for DescribeClusters {
    type Request = DescribeClustersRequest;
    type Response = DescribeClustersResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        at_most("clusters", request.clusters.len(), DESCRIBE_MAX)?;
        let by_default = [DEFAULT_CLUSTER.to_owned()];
        let named = if request.clusters.is_empty() { &by_default[..] } else { &request.clusters };
        let include = Include::of(&request.include);
        let mut response = DescribeClustersResponse::default();
        for name in named {
            match resolve::any_cluster(ctx.state, ctx.principal.account, Some(name))? {
                Some(row) => response.clusters.push(render::cluster::render(ctx.state, row, include)),
                None => response.failures.push(render::failure(arn(ctx.state, name), "MISSING")),
            }
        }
        Ok(response)
    }
}

impl ReadOp for ListClusters {
    type Request = ListClustersRequest;
    type Response = ListClustersResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let page = Page::new(&["ListClusters"], request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let arns = ctx.state.arns();
        let rows = ctx.state.clusters.iter().filter(|(_, row)| row.active && row.account == ctx.principal.account);
        let items = rows.map(|(id, row)| (id.0.to_be_bytes().to_vec(), arns.cluster(&row.name)));
        let (cluster_arns, next_token) = page.take(items, false);
        Ok(ListClustersResponse { cluster_arns, next_token })
    }
}

/// Services of the cluster are in this namespace unless they say otherwise.
fn defaults(asked: ClusterServiceConnectDefaultsRequest) -> ClusterServiceConnectDefaults {
    ClusterServiceConnectDefaults { namespace: asked.namespace }
}

fn changed(state: &State, outcome: &Outcome, include: Include) -> Result<Cluster, ApiError> {
    let row = state.clusters.get(&ClusterId(outcome.done()?.id)).ok_or_else(resolve::cluster_not_found)?;
    Ok(render::cluster::render(state, row, include))
}

fn arn(state: &State, named: &str) -> String {
    if named.starts_with("arn:") { named.into() } else { state.arns().cluster(named) }
}
