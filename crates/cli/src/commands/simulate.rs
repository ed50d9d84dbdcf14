//! `seawall simulate`: where tasks would go, and what would not fit.

use seawall_proto::v1::{
    PlacementConstraint, PlacementStrategy, SimulatePlacementRequest, SimulatePlacementResponse, SupposedInstance,
};

use super::zone;
use crate::{
    args::SimulateArgs,
    client::{Again, Connection, find},
    context::Context,
    failure::{Exit, Failure},
    output::{
        self, Listing,
        table::{Table, column, text},
    },
};

/// Prints the plan; exits 1 where not every task would find a place.
pub async fn run(ctx: &Context, args: SimulateArgs) -> Result<(), Failure> {
    let request = request(ctx, args).await?;
    let ask = async |mut c: Connection, r| c.control.simulate_placement(r).await;
    let answer = ctx.client().await?.call(Again::Safe, request, ask).await?;
    listing(&answer).print(&ctx.global)?;
    if answer.unplaced == 0 {
        return Ok(());
    }
    let what = format!("{} tasks would find no place. {}", answer.unplaced, answer.reason);
    Err(Failure::new(Exit::Refused, what.trim_end_matches('.')))
}

async fn request(ctx: &Context, args: SimulateArgs) -> Result<SimulatePlacementRequest, Failure> {
    let mut request = SimulatePlacementRequest {
        cluster: Some(ctx.cluster(None)),
        count: args.count,
        lost_instances: args.without_instance,
        placement_constraints: args.constraint.iter().map(|text| constraint(text)).collect(),
        placement_strategy: args.strategy.iter().map(|text| step(text)).collect(),
        added: args.with_instance.iter().map(|text| supposed(text)).collect::<Result<_, _>>()?,
        ..Default::default()
    };
    for name in &args.without_zone {
        request.lost_zones.push(zone::find(ctx, name).await?.name);
    }
    // A service is meant where there is one of that name; what is said of a definition is for definitions.
    let of_definition = !(request.placement_constraints.is_empty() && request.placement_strategy.is_empty());
    match find::service(ctx, &args.name).await {
        Ok(found) if !of_definition => request.service = found.it.service_arn.unwrap_or_default(),
        Err(failure) if !matches!(failure.exit, Exit::Refused | Exit::Usage) => return Err(failure),
        Ok(_) | Err(_) => request.task_definition = args.name,
    }
    Ok(request)
}

fn constraint(text: &str) -> PlacementConstraint {
    match text {
        "distinctInstance" => PlacementConstraint { r#type: Some(text.into()), expression: None },
        _ => PlacementConstraint { r#type: Some("memberOf".into()), expression: Some(text.into()) },
    }
}

fn step(text: &str) -> PlacementStrategy {
    let (kind, field) = text.split_once(':').map_or((text, None), |(kind, field)| (kind, Some(field.to_owned())));
    PlacementStrategy { r#type: Some(kind.into()), field }
}

fn supposed(text: &str) -> Result<SupposedInstance, Failure> {
    let wrong = |what: String| {
        Failure::usage(format!("--with-instance {text:?}: {what}"))
            .next("zone=NAME,cpu=UNITS,memory=MIB, and count=N or attribute=NAME:VALUE where wanted")
    };
    let mut instance = SupposedInstance::default();
    for part in text.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("{part:?} is not KEY=VALUE")))?;
        let number = || value.parse::<u32>().map_err(|_| wrong(format!("{value:?} is no number")));
        match key {
            "zone" => instance.zone = value.to_owned(),
            "cpu" => instance.cpu = number()?,
            "memory" => instance.memory = number()?,
            "count" => instance.count = Some(number()?),
            "attribute" => {
                let (name, value) =
                    value.split_once(':').ok_or_else(|| wrong(format!("{value:?} is not NAME:VALUE")))?;
                instance.attributes.insert(name.to_owned(), value.to_owned());
            }
            other => return Err(wrong(format!("{other:?} is not known"))),
        }
    }
    match instance.zone.is_empty() || instance.cpu == 0 || instance.memory == 0 {
        true => Err(wrong("zone, cpu and memory are needed".into())),
        false => Ok(instance),
    }
}

fn listing(answer: &SimulatePlacementResponse) -> Listing {
    let mut table = Table::new(&[column("INSTANCE"), column("ZONE"), text("WHY")]);
    for placement in &answer.placements {
        table.row([placement.ec2_instance_id.clone(), placement.zone.clone(), placement.why.clone()]);
    }
    Listing {
        table,
        names: answer.placements.iter().map(|placement| placement.ec2_instance_id.clone()).collect(),
        json: output::json(answer),
        items: answer.placements.iter().map(output::json).collect(),
        none: "no task would be placed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supposed_instances_are_read_from_one_word() {
        let read = supposed("zone=b,cpu=4096,memory=8192,count=2,attribute=disk:ssd").unwrap();
        assert_eq!((read.zone.as_str(), read.cpu, read.memory, read.count), ("b", 4096, 8192, Some(2)));
        assert_eq!(read.attributes.get("disk").map(String::as_str), Some("ssd"));
        for wrong in ["zone=b", "zone=b,cpu=x,memory=1", "zone=b,cpu=1,memory=1,disk=2", "b"] {
            let failure = supposed(wrong).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.what.contains("--with-instance"), "{wrong}");
        }
    }
}
