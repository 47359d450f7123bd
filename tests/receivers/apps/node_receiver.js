'use strict'
// Receivers on node: bare http, Express, Fastify, and a route handler with the web's Request, as Next.js has it.
const fs = require('node:fs')
const http = require('node:http')
const { publicKey, whyRefused } = require('./verify-callback.js')

const { ANCHOR_SIGNING_KEY, CALLBACK_HOST, LEDGER, PORT } = process.env
const key = publicKey(ANCHOR_SIGNING_KEY)
const LIMIT = 65536

const sleep = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000))

/** The status for a callback; each that is accepted is a line of the ledger. */
async function take (url, headers, rawBody) {
  if (rawBody.length > LIMIT) return 413
  const why = whyRefused(headers, rawBody, CALLBACK_HOST, key)
  if (why !== null) return 401
  if (url.startsWith('/slow')) await sleep(Number(process.env.SLOW_SECONDS))
  fs.appendFileSync(LEDGER, headers['x-event-id'] + '\n')
  return 200
}

function bare () {
  return http.createServer((request, response) => {
    const chunks = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', async () => {
      if (request.url.startsWith('/close')) response.setHeader('Connection', 'close')
      response.writeHead(await take(request.url, request.headers, Buffer.concat(chunks))).end()
    })
  })
}

function express () {
  const express = require('express')
  const app = express()
  app.post(/.*/, express.raw({ type: '*/*', limit: LIMIT }), async (request, response) => {
    if (request.url.startsWith('/close')) response.set('Connection', 'close')
    response.sendStatus(await take(request.url, request.headers, request.body))
  })
  return http.createServer(app)
}

function fastify () {
  const app = require('fastify')({ bodyLimit: LIMIT })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body))
  app.post('/*', async (request, reply) => {
    if (request.url.startsWith('/close')) reply.header('Connection', 'close')
    return reply.code(await take(request.url, request.headers, request.body)).send()
  })
  return app
}

/** `export async function POST (request)` of app/callback/route.js */
async function POST (request) {
  const rawBody = Buffer.from(await request.arrayBuffer())
  const status = await take(new URL(request.url).pathname, Object.fromEntries(request.headers), rawBody)
  return new Response(null, { status })
}

function web () {
  return http.createServer(async (request, response) => {
    const init = { method: request.method, headers: request.headers, body: request, duplex: 'half' }
    const answer = await POST(new Request(`http://${request.headers.host}${request.url}`, init))
    if (request.url.startsWith('/close')) response.setHeader('Connection', 'close')
    response.writeHead(answer.status).end()
  })
}

const server = { bare, express, fastify, web }[process.argv[2]]()
if (process.argv[2] === 'fastify') server.listen({ port: Number(PORT), host: '127.0.0.1' })
else server.listen(Number(PORT), '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
