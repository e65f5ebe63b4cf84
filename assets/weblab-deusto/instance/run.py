#!/usr/bin/env python
# -*- coding: utf-8 -*-
# What `weblab-admin start` runs. Written by bringup, without the debugger that upstream gives every core: a Python shell
# on a port, for every user of this server.
import signal
import traceback

import voodoo.gen.launcher as Launcher


def before_shutdown():
    print("Stopping servers...")


try:
    Launcher.HostLauncher(
        '.',
        'core_host',
        (Launcher.SignalWait(signal.SIGTERM), Launcher.SignalWait(signal.SIGINT)),
        {
{% for port in locals.core_ports %}
            'core_process{{ loop.index }}': 'logging/core{{ loop.index }}.txt',
{% endfor %}
            'laboratory1': 'logging/laboratory1.txt',
        },
        before_shutdown,
        (Launcher.FileNotifier('_file_notifier', 'server started'),),
        pid_file='weblab.pid',
    ).launch()
except:
    traceback.print_exc()
    raise
