"use strict";

// Exosphere's settings, written by bringup: change the answers and run it again.
var config = {
  showDebugMsgs: false,
  cloudCorsProxyUrl: "/proxy",
  urlPathPrefix: null,
  palette: null,
  logo: null,
  favicon: null,
  appTitle: {{ (config.title or none) | json }},
  topBarShowAppTitle: true,
  defaultLoginView: {{ (('oidc' if oidc.first else 'openstack') if oidc.enable else none) | json }},
  aboutAppMarkdown: null,
  supportInfoMarkdown: null,
  userSupportEmailAddress: {{ (config.support_email or none) | json }},
  userSupportEmailSubject: null,
  openIdConnectLoginConfig: {{ (locals.oidc_login or none) | json }},
  localization: null,
  instanceConfigMgtRepoUrl: null,
  instanceConfigMgtRepoCheckout: null,
  bannersUrl: null,
  sentryConfig: null,
  version: null,
};
