"""The messages of KusciaAPI except jobs, with fields in the order of Kuscia's .proto files (Kuscia facts 7.4).

DataMesh declares some of them again in a separate Go package; what both share is here.
"""

from typing import Any

from kuscia_sim.transport.endpoints import RequestHeader, Status
from kuscia_sim.transport.protojson import (
    BOOL,
    INT32,
    INT64,
    STR,
    Enum,
    Message,
    mapping,
    message,
    optional,
    repeated,
)

FileFormat = Enum("v1alpha1.FileFormat", ("UNKNOWN", "CSV", "BINARY"))
DataColumn = message("DataColumn", "v1alpha1", name=STR, type=STR, comment=STR, not_nullable=BOOL)
Partition = message("Partition", "v1alpha1", type=STR, fields=repeated(DataColumn))


def status_only(name: str) -> Message:
    """Return an answer that consists of its status only."""
    return message(name, status=Status)


# health
HealthRequest = message("HealthRequest", header=RequestHeader)
HealthResponse = message("HealthResponse", status=Status, data=message("HealthResponseData", ready=BOOL))

# domain
AuthCenter = message("AuthCenter", authentication_type=STR, token_gen_method=STR)
NodeStatus = message("NodeStatus", name=STR, status=STR, version=STR, last_heartbeat_time=STR, last_transition_time=STR)
DeployTokenStatus = message("DeployTokenStatus", token=STR, state=STR, last_transition_time=STR)
Domain = message("Domain", domain_id=STR, role=STR, cert=STR, node_statuses=repeated(NodeStatus))


def _domain_request(name: str) -> Message:
    return message(
        name,
        header=RequestHeader,
        domain_id=STR,
        role=STR,
        cert=STR,
        auth_center=AuthCenter,
        master_domain_id=STR,
    )


CreateDomainRequest = _domain_request("CreateDomainRequest")
CreateDomainResponse = status_only("CreateDomainResponse")
UpdateDomainRequest = _domain_request("UpdateDomainRequest")
UpdateDomainResponse = status_only("UpdateDomainResponse")
DeleteDomainRequest = message("DeleteDomainRequest", header=RequestHeader, domain_id=STR)
DeleteDomainResponse = status_only("DeleteDomainResponse")
QueryDomainRequest = message("QueryDomainRequest", header=RequestHeader, domain_id=STR)
QueryDomainResponse = message(
    "QueryDomainResponse",
    status=Status,
    data=message(
        "QueryDomainResponseData",
        domain_id=STR,
        role=STR,
        cert=STR,
        node_statuses=repeated(NodeStatus),
        deploy_token_statuses=repeated(DeployTokenStatus),
        annotations=mapping(),
        auth_center=AuthCenter,
        master_domain_id=STR,
    ),
)
BatchQueryDomainRequest = message("BatchQueryDomainRequest", header=RequestHeader, domain_ids=repeated(STR))
BatchQueryDomainResponse = message(
    "BatchQueryDomainResponse",
    status=Status,
    data=message("BatchQueryDomainResponseData", domains=repeated(Domain)),
)

# route
EndpointPort = message("EndpointPort", name=STR, port=INT32, protocol=STR, isTLS=BOOL, path_prefix=STR)
RouteEndpoint = message("RouteEndpoint", host=STR, ports=repeated(EndpointPort))
TokenConfig = message(
    "TokenConfig",
    destination_public_key=STR,
    rolling_update_period=INT64,
    source_public_key=STR,
    token_gen_method=STR,
)
MTLSConfig = message("MTLSConfig", tls_ca=STR, source_client_private_key=STR, source_client_cert=STR)
Transit = message("Transit", transit_method=STR, domain=message("Transit_Domain", domain_id=STR))
BodyEncryption = message("BodyEncryption", algorithm=STR)
RouteStatus = message("RouteStatus", status=STR, reason=STR)
DomainRouteKey = message("DomainRouteKey", source=STR, destination=STR)
CreateDomainRouteRequest = message(
    "CreateDomainRouteRequest",
    header=RequestHeader,
    authentication_type=STR,
    destination=STR,
    endpoint=RouteEndpoint,
    source=STR,
    token_config=TokenConfig,
    mtls_config=MTLSConfig,
    transit=Transit,
    body_encryption=BodyEncryption,
)
CreateDomainRouteResponse = message(
    "CreateDomainRouteResponse", status=Status, data=message("CreateDomainRouteResponseData", name=STR)
)
DeleteDomainRouteRequest = message("DeleteDomainRouteRequest", header=RequestHeader, source=STR, destination=STR)
DeleteDomainRouteResponse = status_only("DeleteDomainRouteResponse")
QueryDomainRouteRequest = message("QueryDomainRouteRequest", header=RequestHeader, destination=STR, source=STR)
QueryDomainRouteResponse = message(
    "QueryDomainRouteResponse",
    status=Status,
    data=message(
        "QueryDomainRouteResponseData",
        name=STR,
        authentication_type=STR,
        destination=STR,
        endpoint=RouteEndpoint,
        source=STR,
        token_config=TokenConfig,
        mtls_config=MTLSConfig,
        status=RouteStatus,
        transit=Transit,
        body_encryption=BodyEncryption,
    ),
)
BatchQueryDomainRouteStatusRequest = message(
    "BatchQueryDomainRouteStatusRequest", header=RequestHeader, route_keys=repeated(DomainRouteKey)
)
BatchQueryDomainRouteStatusResponse = message(
    "BatchQueryDomainRouteStatusResponse",
    status=Status,
    data=message(
        "BatchQueryDomainRouteStatusResponseData",
        routes=repeated(message("DomainRouteStatus", name=STR, destination=STR, source=STR, status=RouteStatus)),
    ),
)


# data source
def data_source(info: Message, **owner: Any) -> Message:
    """Return DomainDataSource of either API; `owner` is the field with the domain ID."""
    return message(
        "DomainDataSource",
        info.package,
        **owner,
        datasource_id=STR,
        name=STR,
        type=STR,
        status=STR,
        info=info,
        info_key=STR,
        access_directly=BOOL,
    )


def data_source_info(package: str) -> Message:
    return message(
        "DataSourceInfo",
        package,
        localfs=message("LocalDataSourceInfo", package, path=STR),
        oss=message(
            "OssDataSourceInfo",
            package,
            endpoint=STR,
            bucket=STR,
            prefix=STR,
            access_key_id=STR,
            access_key_secret=STR,
            virtualhost=BOOL,
            version=STR,
            storage_type=STR,
        ),
        database=message("DatabaseDataSourceInfo", package, endpoint=STR, user=STR, password=STR, database=STR),
        odps=message(
            "OdpsDataSourceInfo",
            package,
            endpoint=STR,
            project=STR,
            access_key_id=STR,
            access_key_secret=STR,
        ),
    )


DataSourceInfo = data_source_info("kusciaapi")
DomainDataSource = data_source(DataSourceInfo, domain_id=STR)
DomainDataSourceList = message("DomainDataSourceList", datasource_list=repeated(DomainDataSource))


def _data_source_request(name: str) -> Message:
    return message(
        name,
        header=RequestHeader,
        domain_id=STR,
        datasource_id=STR,
        type=STR,
        name=optional(STR),
        info=optional(DataSourceInfo),
        info_key=optional(STR),
        access_directly=optional(BOOL),
    )


CreateDomainDataSourceRequest = _data_source_request("CreateDomainDataSourceRequest")
CreateDomainDataSourceResponse = message(
    "CreateDomainDataSourceResponse",
    status=Status,
    data=message("CreateDomainDataSourceResponseData", datasource_id=STR),
)
UpdateDomainDataSourceRequest = _data_source_request("UpdateDomainDataSourceRequest")
UpdateDomainDataSourceResponse = status_only("UpdateDomainDataSourceResponse")
DeleteDomainDataSourceRequest = message(
    "DeleteDomainDataSourceRequest", header=RequestHeader, domain_id=STR, datasource_id=STR
)
DeleteDomainDataSourceResponse = status_only("DeleteDomainDataSourceResponse")
QueryDomainDataSourceRequest = message(
    "QueryDomainDataSourceRequest", header=RequestHeader, domain_id=STR, datasource_id=STR
)
QueryDomainDataSourceResponse = message("QueryDomainDataSourceResponse", status=Status, data=DomainDataSource)
BatchQueryDomainDataSourceRequest = message(
    "BatchQueryDomainDataSourceRequest",
    header=RequestHeader,
    data=repeated(message("QueryDomainDataSourceRequestData", domain_id=STR, datasource_id=STR)),
)
BatchQueryDomainDataSourceResponse = message(
    "BatchQueryDomainDataSourceResponse", status=Status, data=DomainDataSourceList
)
ListDomainDataSourceRequest = message("ListDomainDataSourceRequest", header=RequestHeader, domain_id=STR)
ListDomainDataSourceResponse = message("ListDomainDataSourceResponse", status=Status, data=DomainDataSourceList)


# domaindata
def table_fields(**owner: Any) -> dict[str, Any]:
    """Return the fields of a DomainData that requests and answers of both APIs share."""
    return {
        "domaindata_id": STR,
        "name": STR,
        "type": STR,
        "relative_uri": STR,
        **owner,
        "datasource_id": STR,
        "attributes": mapping(),
        "partition": Partition,
        "columns": repeated(DataColumn),
        "vendor": STR,
    }


DomainData = message("DomainData", **table_fields(domain_id=STR), status=STR, author=STR, file_format=FileFormat)
DomainDataList = message("DomainDataList", domaindata_list=repeated(DomainData))


def _domain_data_request(name: str) -> Message:
    return message(name, header=RequestHeader, **table_fields(domain_id=STR), file_format=FileFormat)


CreateDomainDataRequest = _domain_data_request("CreateDomainDataRequest")
CreateDomainDataResponse = message(
    "CreateDomainDataResponse",
    status=Status,
    data=message("CreateDomainDataResponseData", domaindata_id=STR),
)
UpdateDomainDataRequest = _domain_data_request("UpdateDomainDataRequest")
UpdateDomainDataResponse = status_only("UpdateDomainDataResponse")
DeleteDomainDataRequest = message("DeleteDomainDataRequest", header=RequestHeader, domain_id=STR, domaindata_id=STR)
DeleteDomainDataResponse = status_only("DeleteDomainDataResponse")
QueryDomainDataRequestData = message("QueryDomainDataRequestData", domain_id=STR, domaindata_id=STR)
QueryDomainDataRequest = message("QueryDomainDataRequest", header=RequestHeader, data=QueryDomainDataRequestData)
QueryDomainDataResponse = message("QueryDomainDataResponse", status=Status, data=DomainData)
BatchQueryDomainDataRequest = message(
    "BatchQueryDomainDataRequest", header=RequestHeader, data=repeated(QueryDomainDataRequestData)
)
BatchQueryDomainDataResponse = message("BatchQueryDomainDataResponse", status=Status, data=DomainDataList)
ListDomainDataRequest = message(
    "ListDomainDataRequest",
    header=RequestHeader,
    data=message("ListDomainDataRequestData", domain_id=STR, domaindata_type=STR, domaindata_vendor=STR),
)
ListDomainDataResponse = message("ListDomainDataResponse", status=Status, data=DomainDataList)


# domaindatagrant
def grant_limit(package: str) -> Message:
    return message(
        "GrantLimit",
        package,
        expiration_time=INT64,
        use_count=INT32,
        flow_id=STR,
        components=repeated(STR),
        initiator=STR,
        input_config=STR,
    )


def grant_fields(limit: Message, **author: Any) -> dict[str, Any]:
    """Return the fields of a DomainDataGrant that requests and answers of both APIs share."""
    return {
        "domaindatagrant_id": STR,
        **author,
        "domaindata_id": STR,
        "grant_domain": STR,
        "limit": limit,
        "description": mapping(),
    }


GrantLimit = grant_limit("kusciaapi")
DomainDataGrant = message(
    "DomainDataGrant",
    data=message("DomainDataGrantData", **grant_fields(GrantLimit, author=STR), signature=STR, domain_id=STR),
    status=message(
        "DomainDataGrantStatus",
        phase=STR,
        message=STR,
        records=repeated(message("UseRecord", use_time=INT64, grant_domain=STR, component=STR, output=STR)),
    ),
)


def _grant_request(name: str) -> Message:
    return message(name, header=RequestHeader, **grant_fields(GrantLimit), signature=STR, domain_id=STR)


CreateDomainDataGrantRequest = _grant_request("CreateDomainDataGrantRequest")
CreateDomainDataGrantResponse = message(
    "CreateDomainDataGrantResponse",
    status=Status,
    data=message("CreateDomainDataGrantResponseData", domaindatagrant_id=STR),
)
UpdateDomainDataGrantRequest = _grant_request("UpdateDomainDataGrantRequest")
UpdateDomainDataGrantResponse = status_only("UpdateDomainDataGrantResponse")
DeleteDomainDataGrantRequest = message(
    "DeleteDomainDataGrantRequest", header=RequestHeader, domain_id=STR, domaindatagrant_id=STR
)
DeleteDomainDataGrantResponse = status_only("DeleteDomainDataGrantResponse")
QueryDomainDataGrantRequest = message(
    "QueryDomainDataGrantRequest", header=RequestHeader, domain_id=STR, domaindatagrant_id=STR
)
QueryDomainDataGrantResponse = message("QueryDomainDataGrantResponse", status=Status, data=DomainDataGrant)
BatchQueryDomainDataGrantRequest = message(
    "BatchQueryDomainDataGrantRequest",
    header=RequestHeader,
    data=repeated(message("QueryDomainDataGrantRequestData", domain_id=STR, domaindatagrant_id=STR)),
)
BatchQueryDomainDataGrantResponse = message(
    "BatchQueryDomainDataGrantResponse", status=Status, data=repeated(DomainDataGrant)
)
ListDomainDataGrantRequest = message(
    "ListDomainDataGrantRequest",
    header=RequestHeader,
    data=message("ListDomainDataGrantRequestData", domain_id=STR, grant_domain=STR, domaindata_vendor=STR),
)
ListDomainDataGrantResponse = message(
    "ListDomainDataGrantResponse",
    status=Status,
    data=message("DomainDataGrantList", domaindatagrant_list=repeated(DomainDataGrant)),
)

# appimage
AppImageInfo = message("AppImageInfo", name=STR, tag=STR, id=STR, sign=STR)
ResourceSpec = message("ResourceSpec", cpu=STR, memory=STR)
Probe = message(
    "Probe",
    exec=message("ExecAction", command=repeated(STR)),
    http_get=message(
        "HTTPGetAction",
        path=STR,
        port=STR,
        host=STR,
        scheme=STR,
        http_headers=repeated(message("HTTPHeader", name=STR, value=STR)),
    ),
    tcp_socket=message("TCPSocketAction", port=STR, host=STR),
    grpc=message("GRPCAction", port=INT32, service=STR),
    initial_delay_seconds=INT32,
    timeout_seconds=INT32,
    period_seconds=INT32,
    success_threshold=INT32,
    failure_threshold=INT32,
    termination_grace_period_seconds=INT64,
)
Container = message(
    "Container",
    name=STR,
    command=repeated(STR),
    args=repeated(STR),
    working_dir=STR,
    config_volume_mounts=repeated(message("ConfigVolumeMount", mount_path=STR, sub_path=STR)),
    ports=repeated(message("ContainerPort", name=STR, protocol=STR, scope=STR)),
    env_from=repeated(
        message(
            "EnvFromSource",
            prefix=STR,
            config_map_ref=message("ConfigMapEnvSource", name=STR),
            secret_ref=message("SecretEnvSource", name=STR),
        )
    ),
    env=repeated(message("EnvVar", name=STR, value=STR)),
    resources=message("ResourceRequirements", limits=ResourceSpec, requests=ResourceSpec),
    liveness_probe=Probe,
    readiness_probe=Probe,
    startup_probe=Probe,
    image_pull_policy=STR,
)
DeployTemplate = message(
    "DeployTemplate", name=STR, role=STR, replicas=INT32, restart_policy=STR, containers=repeated(Container)
)
_app_image_fields: dict[str, Any] = {
    "name": STR,
    "image": AppImageInfo,
    "config_templates": mapping(),
    "deploy_templates": repeated(DeployTemplate),
}
QueryAppImageResponseData = message("QueryAppImageResponseData", **_app_image_fields)


def _app_image_request(name: str) -> Message:
    return message(name, header=RequestHeader, **_app_image_fields)


CreateAppImageRequest = _app_image_request("CreateAppImageRequest")
CreateAppImageResponse = status_only("CreateAppImageResponse")
UpdateAppImageRequest = _app_image_request("UpdateAppImageRequest")
UpdateAppImageResponse = status_only("UpdateAppImageResponse")
DeleteAppImageRequest = message("DeleteAppImageRequest", header=RequestHeader, name=STR)
DeleteAppImageResponse = status_only("DeleteAppImageResponse")
QueryAppImageRequest = message("QueryAppImageRequest", header=RequestHeader, name=STR)
QueryAppImageResponse = message("QueryAppImageResponse", status=Status, data=QueryAppImageResponseData)
BatchQueryAppImageRequest = message("BatchQueryAppImageRequest", header=RequestHeader, names=repeated(STR))
BatchQueryAppImageResponse = message(
    "BatchQueryAppImageResponse", status=Status, data=repeated(QueryAppImageResponseData)
)
ListAppImageRequest = message("ListAppImageRequest", header=RequestHeader, page_size=INT32, page_token=STR)
ListAppImageResponse = message(
    "ListAppImageResponse",
    status=Status,
    data=message("AppImageList", appimage_list=repeated(QueryAppImageResponseData), next_page_token=STR),
)

# config
ConfigData = message("ConfigData", key=STR, value=STR)
CreateConfigRequest = message("CreateConfigRequest", header=RequestHeader, data=repeated(ConfigData))
CreateConfigResponse = status_only("CreateConfigResponse")
UpdateConfigRequest = message("UpdateConfigRequest", header=RequestHeader, data=repeated(ConfigData))
UpdateConfigResponse = status_only("UpdateConfigResponse")
DeleteConfigRequest = message("DeleteConfigRequest", header=RequestHeader, keys=repeated(STR))
DeleteConfigResponse = status_only("DeleteConfigResponse")
QueryConfigRequest = message("QueryConfigRequest", header=RequestHeader, key=STR)
QueryConfigResponse = message("QueryConfigResponse", status=Status, key=STR, value=STR)
BatchQueryConfigRequest = message("BatchQueryConfigRequest", header=RequestHeader, keys=repeated(STR))
BatchQueryConfigResponse = message("BatchQueryConfigResponse", status=Status, data=repeated(ConfigData))

# certificate
GenerateKeyCertsRequest = message(
    "GenerateKeyCertsRequest",
    "confmanager",
    common_name=STR,
    country=STR,
    organization=STR,
    organization_unit=STR,
    locality=STR,
    province=STR,
    street_address=STR,
    duration_sec=INT64,
    key_type=STR,
)
GenerateKeyCertsResponse = message(
    "GenerateKeyCertsResponse", "confmanager", status=Status, key=STR, cert_chain=repeated(STR)
)

# log
QueryLogRequest = message(
    "QueryLogRequest",
    header=RequestHeader,
    task_id=STR,
    replica_idx=INT32,
    container=STR,
    follow=BOOL,
    local=BOOL,
)
QueryLogResponse = message("QueryLogResponse", status=Status, log=STR)
QueryPodNodeRequest = message("QueryPodNodeRequest", header=RequestHeader, task_id=STR, domain=STR, replica_idx=INT32)
QueryPodNodeResponse = message("QueryPodNodeResponse", status=Status, node_name=STR, node_ip=STR)

# serving
QueryServingRequest = message("QueryServingRequest", header=RequestHeader, serving_id=STR)
QueryServingResponse = message("QueryServingResponse", status=Status, data=message("QueryServingResponseData"))
