// The log in a frame of another page: what stands behind the # of its address as share=SECRET lets it in. The element
// connects as soon as it is defined, so the secret is handed to it before.

const secret = /^#share=([\w.-]+)$/.exec(location.hash)?.[1];
if (secret) document.querySelector('livetask-log')?.setAttribute('share', secret);
await import('../livetask-log.js');

export {};
