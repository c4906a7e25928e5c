Return-Path: <>
From: user00008@example.com
To: bounces@example.com
Subject: =?utf-8?B?6Ieq5Yqo5Zue5aSN?=: hello
Auto-Submitted: auto-replied
Date: Mon, 1 Jun 2026 09:00:06 +0800

I am away until 15 June. For anything urgent write to user00009@example.com or call 550 5551.
