// Lets {{ application.name }} listen on the socket that systemd holds (file descriptor 3), so that requests wait while it
// restarts, and has it answer those in progress before it stops. Loaded by bin/web. Written by bringup.
'use strict'
const fs = require('fs')
const net = require('net')

// Seconds that requests in progress have when it is stopped.
const PATIENCE = 30
const servers = []
const listen = net.Server.prototype.listen

// Whether systemd passed the socket on to this process. npm and the like do not hand it to what they start.
function passed() {
  try {
    return process.env.LISTEN_FDS === '1' && fs.fstatSync(3).isSocket()
  } catch (error) {
    return false
  }
}

net.Server.prototype.listen = function (...args) {
  const where = args[0]
  const port = where !== null && typeof where === 'object' ? where.port : where
  if (servers.length > 0 || port === undefined || String(port) !== process.env.PORT || !passed()) {
    return listen.apply(this, args)
  }
  servers.push(this)
  const callback = args[args.length - 1]
  return listen.call(this, { fd: 3 }, typeof callback === 'function' ? callback : undefined)
}

process.once('SIGTERM', () => {
  // An application that ends by itself knows best.
  if (process.listenerCount('SIGTERM') > 0) return
  const end = () => process.exit(0)
  if (servers.length === 0) end()
  setTimeout(end, PATIENCE * 1000).unref()
  for (const server of servers) {
    server.close(end)
    // Node 18.2 and later; earlier ones end such connections after 5 seconds.
    if (server.closeIdleConnections) server.closeIdleConnections()
  }
})
