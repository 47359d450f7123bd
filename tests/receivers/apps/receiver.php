<?php
// A receiver for PHP's built-in server, and for any other that runs PHP.
require __DIR__ . '/verify-callback.php';

$rawBody = file_get_contents('php://input');
if (strlen($rawBody) > 65536) {
    http_response_code(413);
    exit;
}
$header = $_SERVER['HTTP_SIGNATURE'] ?? $_SERVER['HTTP_X_STELLAR_SIGNATURE'] ?? '';
if (!is_from_anchor($header, getenv('CALLBACK_HOST'), $rawBody, getenv('ANCHOR_SIGNING_KEY'))) {
    http_response_code(401);
    exit;
}
if (str_starts_with($_SERVER['REQUEST_URI'], '/slow')) {
    usleep((int) (1e6 * (float) getenv('SLOW_SECONDS')));
}
file_put_contents(getenv('LEDGER'), $_SERVER['HTTP_X_EVENT_ID'] . "\n", FILE_APPEND);
http_response_code(200);
