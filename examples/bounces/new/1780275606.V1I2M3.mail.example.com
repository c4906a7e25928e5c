Delivered-To: bounces@example.com
Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: bounces@example.com
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <d04f98f48e8f2d7c-2e@example.com>
In-Reply-To: <d04f98f48e8f2d7c-2e@example.com>
X-Failed-Recipients: user00006@example.com
Message-ID: <665a7c06.050a0220.1f2d3.0001.GMR@mx.google.com>
Date: Sun, 31 May 2026 18:00:06 -0700 (PDT)
Content-Type: multipart/report; boundary="0000000000001c2d3e061a2b3c4d"; report-type=delivery-status

--0000000000001c2d3e061a2b3c4d
Content-Type: multipart/related; boundary="0000000000001c2d47061a2b3c55"

--0000000000001c2d47061a2b3c55
Content-Type: multipart/alternative; boundary="0000000000001c2d4f061a2b3c56"

--0000000000001c2d4f061a2b3c56
Content-Type: text/plain; charset="UTF-8"


** Address not found **

Your message wasn't delivered to user00006@example.com because the address couldn't be found, or is unable to receive mail.

The response from the remote server was:
550-5.1.1 The email account that you tried to reach does not exist.

--0000000000001c2d4f061a2b3c56
Content-Type: text/html; charset="UTF-8"

<html><body><b>Address not found</b></body></html>
--0000000000001c2d4f061a2b3c56--
--0000000000001c2d47061a2b3c55
Content-Type: image/png; name="icon.png"
Content-Disposition: attachment; filename="icon.png"
Content-Transfer-Encoding: base64
Content-ID: <icon.png>

iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9
awAAAABJRU5ErkJggg==
--0000000000001c2d47061a2b3c55--
--0000000000001c2d3e061a2b3c4d
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Arrival-Date: Sun, 31 May 2026 18:00:05 -0700 (PDT)
X-Original-Message-ID: <d04f98f48e8f2d7c-2e@example.com>

Final-Recipient: rfc822; user00006@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.com. (192.0.2.25, the server for the domain example.com.)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try
 550-5.1.1 double-checking the recipient's email address for typos or
 550-5.1.1 unnecessary spaces. For more information, go to
 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser d2e1a72fcca58-7f1bsi - gsmtp
Last-Attempt-Date: Sun, 31 May 2026 18:00:06 -0700 (PDT)

--0000000000001c2d3e061a2b3c4d
Content-Type: message/rfc822

From: gulou@example.com
To: user00006@example.com
Message-ID: <d04f98f48e8f2d7c-2e@example.com>
Subject: hello

hello
--0000000000001c2d3e061a2b3c4d--
