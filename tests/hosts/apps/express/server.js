const express = require('express')
const redis = require('redis')

const app = express()
app.get('/', (request, response) => response.type('text').send('release one\n'))

// What only the build knows, and what production leaves out.
app.get('/built', (request, response) => response.json(require('./built.json')))

// A visit is counted in Redis.
const store = process.env.REDIS_URL && redis.createClient({ url: process.env.REDIS_URL })
if (store) {
  store.on('error', (error) => console.error(error.message))
  store.connect()
}
app.get('/visits', async (request, response) => {
  response.type('text').send(`${await store.incr('visits')}\n`)
})

// Slower than a restart.
app.get('/slow', (request, response) => setTimeout(() => response.type('text').send('slow\n'), 3000))

app.listen(process.env.PORT, process.env.HOST)
