"""The web pages: server-rendered, complete without JavaScript. Values come from the views, wishes go to the commands."""
