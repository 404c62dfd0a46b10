// AWS's own host names lead to the platform. The SDK v2 does not know AWS_ENDPOINT_URL, and functions build addresses
// of AWS themselves (execute-api, sqs).
//
// Every HTTPS client of Node.js (https, fetch, axios, the SDKs) opens its connections with tls.connect. To these hosts
// it gets one to the platform instead, which speaks plain HTTP: the request, its Host header and with them its
// signature stay as they are. Rejected: answering for the names by DNS, for which every client would have to be made
// to trust a certificate of ours.

import { createRequire } from 'node:module';

const AWS = /(^|\.)(amazonaws\.com(\.cn)?|api\.aws)$/;

export function leadToPlatform(endpoint) {
  const { hostname, port, protocol } = endpoint ? new URL(endpoint) : {};
  if (protocol !== 'http:') return; // not the platform's: the function was given another one
  const require = createRequire(import.meta.url);
  const tls = require('node:tls'); // what imports see cannot be changed, what is required can
  const net = require('node:net');
  const connect = tls.connect;
  tls.connect = function connectTo(...given) {
    const options = typeof given[0] === 'object' ? given[0] : { ...given.find((each) => each && typeof each === 'object') };
    const host = options.servername || options.host || (typeof given[1] === 'string' ? given[1] : '');
    if (!AWS.test(host) || options.socket) return connect.apply(this, given);
    const socket = net.connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80), allowHalfOpen: false });
    const heard = given.at(-1);
    if (typeof heard === 'function') socket.once('secureConnect', heard);
    socket.once('connect', () => socket.emit('secureConnect'));
    return socket;
  };
}
