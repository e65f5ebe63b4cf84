"use strict";

// The clouds, written by bringup: change the answers and run it again.
var cloud_configs = {
  "clouds": [
{% for cloud in config.clouds %}
    {
      "keystoneHostname": {{ cloud.keystone | part('/', 2) | part(':', 0) | json }},
      "friendlyName": {{ cloud.name | json }},
      "userAppProxy": {% if cloud.uap or cloud.regions %}[
{% for region in cloud.regions or [] %}
        {"region": {{ region | part('=', 0) | json }}, "hostname": {{ region | part('=', 1) | json }}}{{ ',' if cloud.uap or not loop.last else '' }}
{% endfor %}
{% if cloud.uap %}
        {"region": null, "hostname": {{ cloud.uap | json }}}
{% endif %}
      ]{% else %}null{% endif %},
      "dnsZones": null,
      "imageExcludeFilter": null,
      "featuredImageNamePrefix": null,
      "instanceTypes": [],
      "flavorGroups": [],
      "customResources": [],
      "desktopMessage": null,
      "securityGroups": null
    }{{ '' if loop.last else ',' }}
{% endfor %}
  ]
};
