# -*- coding: utf-8 -*-
# The settings of WebLab-Deusto's cores, written by bringup. What `weblab-admin create` would write here, without its
# debugging mode, and with the cores on the loopback address.

# The same one for the same address, whatever happens to this file.
core_universal_identifier = str(__import__('uuid').uuid5(__import__('uuid').NAMESPACE_URL, b'{{ locals.base_url }}/weblab/'))
core_universal_identifier_human = u{{ instance.identifier | json }}

db_engine = {{ "'mysql'" if database.engine == 'mariadb' else "'sqlite'" }}
db_host = '{{ locals.db_host }}'
db_port = None
db_database = '{{ locals.db_name }}'
weblab_db_username = '{{ locals.db_role }}'
weblab_db_password = '{{ database.password or '' }}'

# True shows errors, with pieces of the program, to whoever meets them.
debug_mode = False
ignore_locations = True

server_hostaddress = '{{ web.host }}'
server_admin = {{ instance.email | json }}
mail_notification_enabled = False

# In memory: sessions in SQL do not work, and those in Redis bring nothing while a visitor stays with a core.
core_session_type = 'Memory'

core_facade_bind = '127.0.0.1'
core_store_students_programs = False
core_store_students_programs_path = 'files_stored'
core_experiment_poll_time = {{ instance.poll_time }}
core_server_url = '{{ locals.base_url }}/weblab/'

{% if scheduling.backend == 'redis' %}
core_coordination_impl = 'redis'
coordinator_redis_host = '{{ locals.redis_host }}'
coordinator_redis_port = {{ locals.redis_port }}
coordinator_redis_db = {{ scheduling.database }}
coordinator_redis_password = '{{ scheduling.password }}'
{% else %}
core_coordination_impl = 'sqlalchemy'
core_coordinator_db_engine = db_engine
core_coordinator_db_host = db_host
core_coordinator_db_name = '{{ locals.schedule_name }}'
core_coordinator_db_username = weblab_db_username
core_coordinator_db_password = weblab_db_password
{% endif %}

core_coordinator_laboratory_servers = {
    'laboratory1:laboratory1@core_host': {
        'exp1|dummy|Dummy experiments': 'dummy1@dummy_queue',
    },
}

core_coordinator_external_servers = {
    'external-robot-movement@Robot experiments': ['robot_external'],
}

# The public demonstration of federated laboratories, as upstream ships it.
weblabdeusto_federation_demo = ('EXTERNAL_WEBLAB_DEUSTO', {
    'baseurl': 'https://weblab.deusto.es/weblab/',
    'username': 'weblabfed',
    'password': 'password',
    'experiments_map': {
        'external-robot-movement@Robot experiments': 'robot-movement@Robot experiments',
    },
})

core_scheduling_systems = {
    'dummy_queue': ('PRIORITY_QUEUE', {}),
    'robot_external': weblabdeusto_federation_demo,
}
