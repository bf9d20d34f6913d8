"""EELBERT on devices: conversion to TFLite, a runtime without TensorFlow, and the commands around them."""
