#include "router/config_ignored.hpp"

#include <algorithm>
#include <array>

#include "router/wildcard.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kBodiesPassUnchanged = "bodies pass through unchanged";
constexpr std::string_view kAnswersPassUnchanged = "answers pass through unchanged";
constexpr std::string_view kNoCache = "answers are not cached";
constexpr std::string_view kNoSpend = "spend and budgets are not tracked";
constexpr std::string_view kNoDatabase =
    "there is no database; keys are declared in weir_settings.keys";
constexpr std::string_view kNoCallbacks =
    "there are no callbacks; /metrics and the access log are built in";
constexpr std::string_view kNoPlugins = "there are no Python hooks";
constexpr std::string_view kNoHealthCalls = "upstreams are judged by the requests they get";
constexpr std::string_view kNotOpenAi =
    "it belongs to a provider that does not speak OpenAI's format";
constexpr std::string_view kNoMcp = "there is no gateway for MCP";
constexpr std::string_view kNoInterface = "there is no user interface";
constexpr std::string_view kNoFiles =
    "there are no endpoints for files, batches and what is kept upstream";
constexpr std::string_view kNoPassThrough = "there is no pass-through";
constexpr std::string_view kNoAutoRouting = "a request's model says which group serves it";
constexpr std::string_view kNoVectorStores = "there are no vector stores";
constexpr std::string_view kNoClientHeaders = "headers of clients are not passed on";
constexpr std::string_view kAzureByKey = "Azure is authenticated by api_key";
constexpr std::string_view kKeysInFile = "keys are declared in weir_settings.keys";
constexpr std::string_view kGiveKeysLimits = "give the limits to the keys";
constexpr std::string_view kNoAffinity = "there is no affinity";
constexpr std::string_view kSeeLogLevel = "see --log_level and --access_log of weir-proxy";
constexpr std::string_view kGiveKeyAndBase = "give api_key and api_base to the deployments";
constexpr std::string_view kUseEnvironment = "use os.environ/NAME";
constexpr std::string_view kAllRoutesOpen = "all routes are open to all keys";
constexpr std::string_view kMetricsAsTheyAre = "the metrics are as docs/metrics.md lists them";
constexpr std::string_view kUpstreamsFromFile =
    "upstreams and their keys come from this file alone";
constexpr std::string_view kNoAgents = "there are no agents, prompts, tools and sandboxes";
constexpr std::string_view kNoPings = "streams get no pings";
constexpr std::string_view kPythonOnly = "it concerns Python only";
constexpr std::string_view kVerified =
    "certificates are always verified; see weir_settings.upstream.ca_file";
constexpr std::string_view kNoClientCertificate = "upstreams get no client certificate";
constexpr std::string_view kNoMocks = "mock answers come from weir-fake-server";
constexpr std::string_view kSeeNumRetries = "see num_retries";

constexpr auto kSections = std::to_array<Ignored>({
    {"include", "put everything into one file"},
    {"guardrails policies policy_attachments plugins classifier_plugin", kNoPlugins},
    {"mcp_servers mcp_tools", kNoMcp},
    {"credential_list default_vertex_config", kGiveKeyAndBase},
    {"finetune_settings files_settings assistant_settings", kNoFiles},
    {"vector_store_registry", kNoVectorStores},
    {"callback_settings", kNoCallbacks},
    {"pass_through_endpoints", kNoPassThrough},
    {"agents agent_list prompts search_tools sandbox_tools", kNoAgents},
    {"worker_registry", "workers are processes of one supervisor; see --num_workers"},
});

constexpr auto kParams = std::to_array<Ignored>({
    {"temperature top_p top_k max_tokens max_completion_tokens stop seed n logit_bias "
     "presence_penalty frequency_penalty user response_format tools tool_choice "
     "parallel_tool_calls functions function_call logprobs top_logprobs stream stream_options "
     "extra_body reasoning_effort thinking modalities audio voice prediction service_tier "
     "store metadata verbosity web_search_options dimensions encoding_format input_type "
     "drop_params additional_drop_params allowed_openai_params "
     "merge_reasoning_content_in_choices cache_control_injection_points custom_prompt_dict "
     "roles initial_prompt_value final_prompt_value bos_token eos_token "
     "thought_signature_in_tool_call_id use_chat_completions_api fireworks_forward_user_id",
     kBodiesPassUnchanged},
    {"mock_response", kNoMocks},
    {"max_budget budget_duration cost_per_second input_cost_per_* output_cost_per_* "
     "cache_read_input_* cache_creation_input_* ocr_cost_per_* annotation_cost_per_* "
     "citation_cost_per_token search_*_cost_per_query google_maps_grounding_cost_per_query "
     "tiered_pricing *_uplift_multiplier regional_processing_uplift_multiplier_* "
     "output_vector_size",
     kNoSpend},
    {"region_name", "deployments are not chosen by region"},
    {"aws_* vertex_* s3_* bedrock_* anthropic_* watsonx_* gcs_bucket_name bucket_name "
     "vector_bucket_name allow_legacy_cloud_file_ids hf_model_name use_xai_oauth "
     "chatgpt_auth_file project",
     kNotOpenAi},
    {"tenant_id client_id client_secret azure_* deployment_id", kAzureByKey},
    {"openai_identity_* openai_service_account_id token_exchange_*",
     "upstreams are authenticated by api_key"},
    {"ssl_verify", kVerified},
    {"client_cert", kNoClientCertificate},
    {"http_proxy use_litellm_proxy kubernetes_pod_discovery", "upstreams are reached directly"},
    {"headers", "give extra_headers"},
    {"api_type responses_api_version", "api_version stands for itself"},
    {"litellm_credential_name", kGiveKeyAndBase},
    {"use_in_pass_through", kNoPassThrough},
    {"configurable_clientside_auth_params", "clients cannot choose the upstream's address or key"},
    {"default_api_key_rpm_limit default_api_key_tpm_limit", kGiveKeysLimits},
    {"rpd tpd daily_reset_time",
     "limits of a day are for keys, users and teams: rpd_limit and tpd_limit"},
    {"timeout_by_service_tier stream_timeout_by_service_tier",
     "timeout and stream_timeout are for all requests"},
    {"keepalive_seconds allow_client_keepalive_override", kNoPings},
    {"fallbacks", "give fallbacks in router_settings"},
    {"tag_regex", "tags are compared, not matched"},
    {"auto_router_* complexity_router_* adaptive_router_* quality_router_* "
     "switchyard_router_config",
     kNoAutoRouting},
    {"provider_affinity_header", kNoAffinity},
    {"vector_store_id index_name embedding_model milvus_* valkey_*", kNoVectorStores},
    {"max_file_size_mb", kNoFiles},
    {"litellm_trace_id", kNoCallbacks},
    {"model_info base_model", "model_info stands beside litellm_params"},
});

constexpr auto kRouter = std::to_array<Ignored>({
    {"cache_responses caching_groups", kNoCache},
    {"redis_startup_nodes redis_sentinel_nodes redis_service_name redis_sentinel_password",
     "give it without redis_ in cache_kwargs, or in weir_settings.redis"},
    {"client_ttl", "connections are kept by weir_settings.upstream.idle_timeout_seconds"},
    {"polling_interval", "waiting requests are woken, they do not poll"},
    {"provider_budget_config fallback_budget_check", kNoSpend},
    {"alerting_config", kNoCallbacks},
    {"plugins fallback_access_check guardrail_list", kNoPlugins},
    {"router_general_settings", kPythonOnly},
    {"debug_level set_verbose", kSeeLogLevel},
    {"ignore_invalid_deployments", "a deployment that is not valid is an error"},
    {"enable_weighted_failover", "the next candidate is always drawn by weight"},
    {"weights", "give weight to the deployments"},
    {"max_retries", kSeeNumRetries},
    {"keepalive_seconds", kNoPings},
    {"enable_mid_stream_fallback_continuation",
     "a stream that breaks off ends with an error event"},
    {"fallback_on_unsupported_params",
     "what an upstream does not support it refuses, and that is a failure like others"},
    {"enable_health_check_routing health_check_* background_health_check_model_groups",
     kNoHealthCalls},
    {"deployment_affinity_ttl_seconds model_group_affinity_config session_affinity_*", kNoAffinity},
    {"routing_groups", "one strategy serves all groups"},
    {"tag_routing_prefix", "tags are compared as they are"},
    {"auto_router_capability_limit", kNoAutoRouting},
    {"assistants_config", kNoFiles},
    {"search_tools", kNoAgents},
});

constexpr auto kLitellm = std::to_array<Ignored>({
    {"cache cache_params caching enable_caching_on_provider_specific_optional_params "
     "default_in_memory_ttl default_redis_* force_redis_hash_tag_grouping",
     kNoCache},
    {"drop_params modify_params max_tokens add_function_to_prompt "
     "enable_json_schema_validation enable_preview_features disable_stop_sequence_limit "
     "disable_add_transform_inline_image_block disable_add_prefix_to_prompt "
     "disable_copilot_system_to_assistant openai_system_messages_first reasoning_auto_summary "
     "reasoning_effort_rounding route_all_chat_openai_to_responses "
     "use_chat_completions_url_for_anthropic_messages custom_prompt_dict model_group_settings",
     kBodiesPassUnchanged},
    {"include_cost_in_streaming_usage responses strip_anthropic_total_tokens "
     "anthropic_messages_estimate_initial_input_tokens",
     kAnswersPassUnchanged},
    {"vertex_* bedrock_* predibase_tenant_id anthropic_* enable_anthropic_prompt_caching "
     "enable_gemini_* gemini_* disable_anthropic_gemini_context_caching_transform "
     "disable_vertex_batch_output_transformation",
     kNotOpenAi},
    {"api_key api_base api_version organization headers *_api_key ai21_key aleph_alpha_key "
     "anthropic_key azure_key baseten_key bytez_key clarifai_key cohere_key cometapi_key "
     "databricks_key datarobot_key gdc_key gigachat_key groq_key heroku_key huggingface_key "
     "inception_key infinity_key lemonade_key maritalk_key nebius_key nlp_cloud_key ollama_key "
     "openai_key openai_like_key openrouter_key ovhcloud_key predibase_key replicate_key "
     "sap_service_key snowflake_key vercel_ai_gateway_key wandb_key xai_key *_api_base token "
     "email",
     "give it to the deployments, or to default_litellm_params in router_settings"},
    {"enable_azure_ad_token_refresh", kAzureByKey},
    {"credential_list enable_model_config_credential_overrides", kGiveKeyAndBase},
    {"set_verbose suppress_debug_info suppress_startup_output log_client_error_tracebacks "
     "log_raw_request_response disable_streaming_logging "
     "standard_logging_payload_excluded_fields",
     kSeeLogLevel},
    {"request_correlation_in_logs log_auth_failure_key_identity",
     "every line of the access log has the request's id and the key's name"},
    {"redact_messages_in_exceptions expose_router_debug_in_errors",
     "no error tells what an upstream or a client has sent"},
    {"max_budget budget_* max_end_user_budget max_end_user_budget_id max_internal_user_budget "
     "default_max_internal_user_budget max_user_budget max_ui_session_budget "
     "default_soft_budget internal_user_budget_duration tag_budget_config cost_discount_config "
     "cost_margin_config model_cost_map_url apply_search_free_tier "
     "block_requests_for_models_without_pricing disable_end_user_cost_tracking "
     "disable_end_user_cost_tracking_prometheus_only "
     "enable_end_user_cost_tracking_prometheus_only extra_spend_tag_headers "
     "disable_add_user_agent_to_request_tags prometheus_initialize_budget_metrics",
     kNoSpend},
    {"custom_prometheus_* prometheus_*", kMetricsAsTheyAre},
    {"default_internal_user_params default_team_settings default_team_params "
     "upperbound_key_generate_params default_key_generate_params "
     "default_key_max_budget_alert_emails key_generation_settings key_alias_pattern "
     "enable_key_alias_format_validation store_audit_logs personal_key_model_access_from_teams "
     "validate_end_user_id_in_db",
     kNoDatabase},
    {"service_callback service_callbacks input_callback audit_log_callbacks "
     "batch_line_item_callbacks cold_storage_custom_logger callback_settings "
     "allow_dynamic_callback_disabling langfuse_* langsmith_* argilla_* datadog_* "
     "newrelic_params pointfive_params zerobus_params gcs_* generic_* s3_* "
     "aws_sqs_callback_params dynamodb_table_name otel_* global_disable_no_log_param",
     kNoCallbacks},
    {"guardrails post_call_rules pre_call_rules custom_provider_map presidio_* llamaguard_* "
     "openai_moderations_model_name google_moderation_confidence_threshold "
     "banned_keywords_list blocked_user_list output_parse_pii skip_*_in_guardrail",
     kNoPlugins},
    {"force_ipv4", "addresses are tried in the resolver's order"},
    {"ssl_verify", kVerified},
    {"ssl_certificate", kNoClientCertificate},
    {"ssl_security_level ssl_ecdh_curve", "OpenSSL's own choice is used"},
    {"http2 use_aiohttp_transport aiohttp_trust_env disable_aiohttp_transport "
     "disable_aiohttp_trust_env use_litellm_proxy use_client proxy_auth",
     "upstreams are spoken to in HTTP/1.1 and reached directly"},
    {"user_url_validation user_url_allowed_hosts provider_url_destination_allowed_hosts",
     kUpstreamsFromFile},
    {"network_mock", kNoMocks},
    {"num_retries_per_request", kSeeNumRetries},
    {"model_fallbacks", "see fallbacks"},
    {"model_alias_map", "see model_group_alias in router_settings"},
    {"forward_traceparent_to_llm_provider add_user_information_to_llm_headers "
     "filter_invalid_headers overwrite_user_with_key_hash",
     kNoClientHeaders},
    {"return_response_headers", "see docs/proxy.md for the headers of answers"},
    {"sse_keepalive_ping_interval_seconds", kNoPings},
    {"disable_hf_tokenizer_download disable_token_counter", "there is no tokenizer"},
    {"enable_loadbalancing_on_batch_endpoints require_managed_files", kNoFiles},
    {"mcp_*", kNoMcp},
    {"vector_store_registry vector_store_search_failure_mode", kNoVectorStores},
    {"agent_search_embedding_model skill_search_embedding_model global_prompt_directory "
     "global_bitbucket_config global_gitlab_config",
     kNoAgents},
    {"public_* blog_posts_url autorouter_presets_url", kNoInterface},
    {"safe_memory_mode", kPythonOnly},
});

constexpr auto kGeneral = std::to_array<Ignored>({
    {"database_* allow_requests_on_db_unavailable store_model_in_db supported_db_objects "
     "disable_adding_master_key_hash_to_db disable_prisma_schema_update allow_user_auth "
     "service_account_settings default_team_disabled team_metadata_* "
     "custom_team_metadata_validate use_team_public_model_name disable_master_key_return "
     "disable_custom_api_keys disable_key_generate_for_org_admin "
     "disable_auto_add_proxy_admin_to_teams control_plane_url",
     kNoDatabase},
    {"store_prompts_in_spend_logs disable_spend_logs disable_spend_updates disable_error_logs "
     "disable_reset_budget disable_budget_reservation proxy_batch_write_at "
     "proxy_budget_rescheduler_* spend_* maximum_* use_spend_logs_* "
     "use_redis_transaction_buffer fail_closed_budget_enforcement "
     "apply_user_budget_to_team_keys self_serve_budget_policy track_unmanaged_batch_cost "
     "request_tag_mappings",
     kNoSpend},
    {"user_api_key_cache_ttl user_api_key_cache_max_size proxy_config_reload_interval_seconds",
     "a reload is obeyed by every worker at once"},
    {"disable_retry_on_max_parallel_request_limit_error "
     "disable_fallbacks_on_per_model_rate_limits",
     "a full deployment is passed over, not retried"},
    {"fail_closed_rate_limit_enforcement", "limits always hold; see weir_settings.fail_mode"},
    {"max_in_flight_requests_per_worker max_queued_requests_per_worker "
     "admission_queue_timeout_seconds",
     "see global_max_parallel_requests, weir_settings.queue and weir_settings.clients"},
    {"max_response_size_mb", "answers are relayed, not held"},
    {"cancel_on_disconnect", "a client that leaves always cancels its request"},
    {"background_health_checks background_health_check_model_groups health_check_* "
     "enable_health_check_routing use_shared_health_check model_list_healthy_only",
     kNoHealthCalls},
    {"allow_public_health_readiness_details", "it tells nothing but whether the proxy is ready"},
    {"enable_drain_endpoint drain_endpoint_token", "SIGTERM drains"},
    {"custom_auth custom_auth_run_common_checks custom_key_generate custom_key_update "
     "custom_key_policy custom_sso custom_ui_sso_sign_in_handler plugins skill_scanner",
     kNoPlugins},
    {"alerting alerting_threshold alerting_args alert_* otel tracing", kNoCallbacks},
    {"completion_model embedding_model image_generation_model moderation_model",
     "a request must name its model"},
    {"infer_model_from_keys disable_model_info_refresh return_wildcard_routes", "list the models"},
    {"enforce_fallback_model_access", "a fallback may be any group"},
    {"expose_fallback_errors_to_caller", "the last error is relayed, see docs/litellm.md"},
    {"include_call_id_in_error_body", "x-litellm-call-id is a header"},
    {"enforced_params reject_clientside_metadata_tags missing_session_id",
     "bodies may have any fields"},
    {"user_header_mappings", "give user_header_name"},
    {"allowed_routes", kAllRoutesOpen},
    {"allowed_ips trusted_proxy_ranges use_x_forwarded_for "
     "disable_requester_ip_address_logging",
     "addresses of clients are not looked at; use a firewall"},
    {"admin_only_routes", "there are no admin routes"},
    {"public_routes", "health endpoints need no key"},
    {"ui_access_mode block_robots enable_public_model_hub hide_default_credentials_hint "
     "password_policy_* max_failed_login_* failed_login_* auto_redirect_ui_login_to_sso "
     "disable_password_login_when_sso_enabled",
     kNoInterface},
    {"enable_jwt_auth litellm_jwtauth enable_oauth2_auth enable_oauth2_proxy_auth "
     "oauth2_config_mappings enforce_rbac role_permissions "
     "allow_cli_sso_verification_uri_complete",
     kKeysInFile},
    {"pass_through_* passthrough_managed_object_ids use_client_credentials_pass_through_routes "
     "enable_openai_websocket_passthrough disable_bedrock_agent_runtime_passthrough "
     "vertex_ai_pass_through_drop_anthropic_betas",
     kNoPassThrough},
    {"key_management_system key_management_settings use_google_kms use_azure_key_vault "
     "disable_env_credential_login",
     kUseEnvironment},
    {"forward_client_headers_to_llm_api forward_openai_org_id", kNoClientHeaders},
    {"allow_client_side_credentials allowed_client_side_* user_url_* "
     "provider_url_destination_allowed_hosts",
     kUpstreamsFromFile},
    {"coordination_redis", "see redis_host in router_settings, and weir_settings.redis"},
    {"max_parallel_requests", "give max_parallel_requests to deployments and keys"},
    {"max_batch_file_* disable_batch_input_file_rate_limiting skip_batch_input_file_* "
     "max_file_* *_file_extensions transcribe_media_buckets disable_responses_id_security "
     "allow_unmanaged_response_ids responses_websocket_session_limit_seconds "
     "proxy_batch_polling_interval",
     kNoFiles},
    {"mcp_* user_mcp_management_mode enable_mcp_registry require_*_mcp_access_defined", kNoMcp},
    {"vector_store_deny_by_default", kNoVectorStores},
    {"agent_access_default_deny search_tool_deny_by_default search_tools "
     "enable_claude_code_gateway claude_code_*",
     kNoAgents},
    {"litellm_license", "nothing has to be licensed"},
    {"dangerously_permit_weak_or_unset_master_key",
     "a proxy without keys is open, and any master key is taken"},
    {"scheduled_job_stagger", kPythonOnly},
    {"litellm_settings", "it is a section of its own"},
});

constexpr auto kCallers = std::to_array<Ignored>({
    {"max_budget budget_duration model_max_budget budget_limits soft_budget budget_id spend",
     kNoSpend},
    {"tags", "tags come with the request"},
    {"metadata", "give priority itself"},
    {"duration", "give expires"},
    {"guardrails", kNoPlugins},
    {"rpm_limit_type tpm_limit_type", "limits always hold"},
});

}  // namespace

std::span<const Ignored> ignored_sections() noexcept { return kSections; }
std::span<const Ignored> ignored_params() noexcept { return kParams; }
std::span<const Ignored> ignored_router_settings() noexcept { return kRouter; }
std::span<const Ignored> ignored_litellm_settings() noexcept { return kLitellm; }
std::span<const Ignored> ignored_general_settings() noexcept { return kGeneral; }
std::span<const Ignored> ignored_of_callers() noexcept { return kCallers; }

bool Ignored::has(std::string_view key) const noexcept {
    for (std::string_view rest = names; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        const std::string_view name = rest.substr(0, end);
        if (name == key || wildcard_match(name, key)) return true;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return false;
}

}  // namespace weir::router
