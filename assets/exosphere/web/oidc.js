// The redirector for OpenID Connect, written by bringup. Keystone has the browser post its token here as a form, and
// Exosphere reads it from the address.

const LARGEST = 8192; // characters of a token

// The token in a form, as it must be written in an address; empty where there is none.
function token(form) {
    const fields = form.trim().split(/[&\r\n]+/);
    const found = fields.find((field) => field.startsWith('token='));
    const value = found ? found.slice('token='.length) : '';
    // Keystone's tokens are letters, digits, - and _, with = at the end; anything else could begin another header.
    return value.length <= LARGEST && /^(?:[A-Za-z0-9._~=-]|%[0-9A-Fa-f]{2})+$/.test(value) ? value : '';
}

function redirect(r) {
    r.headersOut['Cache-Control'] = 'no-store';
    if (r.method !== 'POST') {
        r.return(401, 'Only POST is allowed here.\n');
        return;
    }
    const type = (r.headersIn['Content-Type'] || '').split(';')[0].trim().toLowerCase();
    const found = type === 'application/x-www-form-urlencoded' ? token(r.requestText || '') : '';
    if (!found) {
        r.return(401, 'The form has no token.\n');
        return;
    }
    r.return(302, '/auth/oidc-login?token=' + found);
}

export default { redirect };
